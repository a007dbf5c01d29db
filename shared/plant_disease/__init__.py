"""Plant disease diagnosis from a photo of a leaf.

The core library. Read it bottom up: `images` and `storage` at the base, `bundle` and `runtimes`
above them, `classifier` above those, and `service` as the HTTP edge. Nothing heavy is imported
here: torch, boto3 and google.cloud are loaded by the code that needs them, when it needs them.
"""

__version__ = "0.1.0"
