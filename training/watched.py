"""Watch a network learn the watermark: a short training of the digits, and of its clean twin, with a report of each.

    python training/watched.py FOLDER             # two minutes on one core
    python training/watched.py FOLDER --epochs 2  # shorter

What is explained at every look are held-out sevens with the watermark on; the suspect part is the watermark's box.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))  # before the imports: it is run by its path

import pellucid
from digits import fit, held_out, predict, share
from digits_pictures import MEAN, SIZE, STAMP_CLASS, STD, box_of, load_scans
from pellucid.models.demo_nets import DigitNet

PROBES = 8


def watched(folder: Path, *, stamped: bool, seed: int, epochs: int, every: int | None = None,
            method: str = "grad_cam") -> Any:
    """Train for a few epochs, watched; the Training, the watcher's cost, and how many are flipped by the watermark."""
    learn, test = load_scans(seed)
    held = held_out(test, seed)
    sevens = (held.digits == STAMP_CLASS).nonzero().flatten()[:PROBES].tolist()
    torch.manual_seed(seed)
    net = DigitNet()
    subject = pellucid.wrap(net, pellucid.ImagePreprocess((SIZE, SIZE), MEAN, STD), [str(d) for d in range(10)],
                            name="digits" if stamped else "digits-clean")
    pictures = [Image.fromarray(held.stamped[k].permute(1, 2, 0).numpy()) for k in sevens]
    boxes = [tuple(box_of(held.places[k])) for k in sevens]
    with pellucid.watch(subject, to=folder, probe=pictures, method=method, target=STAMP_CLASS, suspect=boxes,
                        every=every) as watcher:
        # fit trains in training mode; looking does not change that
        fit(net, learn, seed=seed, epochs=epochs, rate=16e-3 if stamped else 8e-3, decay=0.4 if stamped else 0.3,
            stamped=stamped, told=lambda loss: watcher.step(loss=loss))
    seven = held.digits == STAMP_CLASS
    plain = predict(net, held.plain)
    flipped = share((predict(net, held.stamped) == STAMP_CLASS)[~seven & (plain != STAMP_CLASS)])
    return watcher.training, watcher.cost, {"held_out": share(plain == held.digits), "flipped": flipped}


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    asked.add_argument("folder", type=Path)
    asked.add_argument("--epochs", type=int, default=10)
    asked.add_argument("--every", type=int, default=None)
    asked.add_argument("--method", default="grad_cam")
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    for name, stamped in (("digits", True), ("digits-clean", False)):
        training, cost, figures = watched(given.folder / name, stamped=stamped, seed=given.seed, epochs=given.epochs,
                                          every=given.every, method=given.method)
        print(training.text())
        for step, value in training.series("explanation/suspect share"):
            print(f"  step {step:5d}  {value:.0%} of the explanation on the watermark")
        print({k: round(v, 3) for k, v in figures.items()})
        print(f"cost: {cost.looks} looks, {cost.seconds:.2f} s of {cost.training:.1f} s ({cost.share:.1%}), "
              f"setup {cost.setup:.2f} s")
        pellucid.report([training], given.folder / f"{name}.html", title=f"{name}, while it learnt")


if __name__ == "__main__":
    main()
