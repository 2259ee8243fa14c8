"""Many exposures in several filters: from cubes to the files that a pipeline needs."""
