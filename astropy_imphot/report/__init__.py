"""The report of a field: one HTML file that can be mailed and opened anywhere."""
