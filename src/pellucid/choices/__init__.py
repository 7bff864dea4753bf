"""What is chosen when the user does not say: method, layers, places, composites, each with its reason."""
