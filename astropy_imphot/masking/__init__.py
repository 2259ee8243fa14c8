"""Masks and regions: which pixels are fitted."""
