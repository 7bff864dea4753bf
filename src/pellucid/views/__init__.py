"""Floor 3: one drawing per layout."""
