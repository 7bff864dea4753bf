"""Floor 1: anything becomes a Subject."""
