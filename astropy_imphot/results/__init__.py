"""Values with errors, flags, and the results of fits."""
