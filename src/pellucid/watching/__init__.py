"""Floor 3: a network watched while it is trained."""
