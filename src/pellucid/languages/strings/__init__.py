"""What pictures, reports and the shell say, by topic."""
