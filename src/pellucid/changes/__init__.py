"""Changes that last for one pass: what is different in a model while a question is asked."""
