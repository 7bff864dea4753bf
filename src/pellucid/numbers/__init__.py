"""Floor 0: pure mathematics."""
