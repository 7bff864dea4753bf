"""Write every generated page anew."""

from __future__ import annotations

from docs.generate import catalogue

if __name__ == "__main__":
    catalogue.write()
