"""What is made of fits: tables, plots, corrected images, and files for other programs."""
