"""Point-spread functions: shapes, transfer functions, and images of PSFs."""
