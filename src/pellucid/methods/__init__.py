"""Floor 2: methods, each a short conversation."""
