"""Floor 3: reports."""
