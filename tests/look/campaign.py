"""How often healthy networks are said to have a fault: `python -m tests.look.campaign SEEDS`, 20 if left out."""

from __future__ import annotations

import sys

import torch
from torch import nn

import pellucid
from tests.look.bred import HEALTHY, pictures, trained


def main(seeds: int) -> None:
    torch.set_num_threads(1)
    for make in HEALTHY:
        for steps in (0, 60):
            told = [t for seed in range(seeds) for t in _told(trained(make, seed, steps), seed)]
            some, wrong = (len({t[0] for t in which}) for which in (told, [t for t in told if not t[1]]))
            sys.stdout.write(f"{make.__name__}, {'trained' if steps else 'drawn'}: of {seeds} networks {some} with a "
                             f"finding, {wrong} with one that fresh inputs do not bear out\n")
            sys.stdout.writelines(f"    {t}\n" for t in told)


def _told(net: nn.Module, seed: int) -> list[tuple[int, bool, str]]:
    """Each finding: whether it is true of 2000 other inputs, and what it said.

    Dead channels fire for no larger share of those than was said; all else is found in them once more.
    """
    a = pellucid.activity(net, pictures(96, seed + 77777)[0])
    if not a.findings:
        return []
    fresh = pellucid.activity(net, pictures(2000, seed + 99999)[0])
    again = {(f.code, f.layer) for f in fresh.findings}
    return [(seed, float(fresh[f.layer].fired[list(f.channels)].max()) <= a[f.layer].unseen * 2000
             if f.code == "channels.dead" else (f.code, f.layer) in again, f"{f.code} {f.layer}: {f.reason}")
            for f in a.findings]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
