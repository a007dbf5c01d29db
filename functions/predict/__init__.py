"""One plant, one diagnosis."""
