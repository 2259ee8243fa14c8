"""Many exposures of a field in several HST filters, fitted together."""
