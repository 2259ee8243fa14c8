"""Filters, curves, flux units, and bandpass images of cubes."""
