"""Pellucid beside its peers, side by side in one run: `python -m bench`, or `make bench`."""
