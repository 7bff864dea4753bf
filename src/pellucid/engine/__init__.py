"""Floor 1: answers the questions of conversations."""
