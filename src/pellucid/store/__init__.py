"""Floor 3: explanations on disk."""
