"""The HTTP edge: everything that knows about requests. Nothing below imports FastAPI."""
