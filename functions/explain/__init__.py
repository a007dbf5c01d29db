"""One photo, and the evidence for a class."""
