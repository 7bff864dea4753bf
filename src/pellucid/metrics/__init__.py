"""Metrics: how well an explanation does what it says. Conversations, as methods are."""
