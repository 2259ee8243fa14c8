"""Fits of images and stars, one or many."""
