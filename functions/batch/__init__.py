"""Many independent photos, a diagnosis each."""
