"""Files: FITS layouts, headers, grids, and errors."""
