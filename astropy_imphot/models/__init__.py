"""Models for astropy.modeling: a convolved template, and a star."""
