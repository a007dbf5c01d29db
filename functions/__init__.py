"""The serverless functions, one folder each."""
