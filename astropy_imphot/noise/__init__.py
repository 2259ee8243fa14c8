"""Correlated noise: autocorrelation, covariance, and the noise of the reference image."""
