"""Many exposures and filters: from cubes to what a pipeline needs."""
