"""Trains the demo subjects: ``python training/train.py [names...]`` rewrites their data folders."""

from __future__ import annotations

import importlib
import sys
import time

import torch

from card import DATA
from pellucid.models.vision import spare_text_models

SEED = 7


def main(names: list[str]) -> None:
    """Train the named subjects, or all of them."""
    makers = {
        "digits": ("digits", "make_digits"),
        "digits-clean": ("digits", "make_clean"),
        "digits-random": ("digits", "make_random"),
        "digits-vit": ("digits", "make_transformer"),
        "reviews": ("reviews", "make_reviews"),
        "recommender": ("tables", "make_recommender"),
        "tumours": ("tables", "make_tumours"),
    }
    if unknown := set(names) - set(makers):
        raise SystemExit(f"no subject called {', '.join(sorted(unknown))}; there are {', '.join(makers)}")
    # The order of additions depends on the number of threads, so it is fixed along with the seed.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name in names or makers:
        start = time.perf_counter()
        module, make = makers[name]
        if name == "reviews":
            spare_text_models()
        getattr(importlib.import_module(module), make)(DATA / name, SEED)
        print(f"{name}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
