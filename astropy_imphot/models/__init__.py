"""Models of astropy.modeling: a convolved template, and a star."""
