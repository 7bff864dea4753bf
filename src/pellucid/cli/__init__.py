"""Floor 4: the shell, one file per verb."""
