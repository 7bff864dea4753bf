"""Watching a training at the default sampling, beside the same training unwatched."""

from __future__ import annotations

import time
from typing import Any

import torch
import torch.nn.functional as F

from bench import models
from bench.row import OURS, Bound, Findings, Row, Spread
from bench.setup import Setup

PLAIN = "the same steps unwatched"
BLOCK, WARM = 5, 2


def steps(setup: Setup) -> Findings:
    """Blocks of steps by turns; a look falls into few of them, so that the sums are compared and not the pairs."""
    import pellucid

    model = models.resnet(18, setup.device).train()
    x, y = models.pictures(8, setup.device, side=96), torch.arange(8, device=setup.device)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)

    def block(watcher: Any) -> float:
        began = time.perf_counter()
        for _ in range(BLOCK):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            if watcher is not None:
                watcher.step(loss=loss)
        if setup.device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter() - began

    watcher = pellucid.watch(model, to=[], probe=x, target=y.tolist())
    for _ in range(WARM):
        block(None)
    rounds: list[tuple[float, float]] = []
    began, seconds = time.perf_counter(), 20.0 if setup.quick else 150.0
    while time.perf_counter() - began < seconds or len(rounds) < 5:
        if len(rounds) % 2:
            plain = block(None)
            rounds.append((_watched(watcher, block), plain))
        else:
            rounds.append((_watched(watcher, block), block(None)))
    watcher.close()
    cost = watcher.cost
    found = Findings(figures={"looks": cost.looks, "share by its own clock": cost.share, "seconds a look":
                              cost.seconds / max(cost.looks, 1), "setting up, s": cost.setup})
    cuts = [rounds[k::5] for k in range(5)]
    parts = sorted(sum(a for a, _ in cut) / sum(b for _, b in cut) for cut in cuts)
    whole = sum(a for a, _ in rounds) / sum(b for _, b in rounds)
    found.put("time", OURS, PLAIN, Spread(whole, parts[1], parts[3], len(rounds)))
    found.notes.append("ratio of all watched blocks to all others; quartiles are of fifths of them")
    return found


def _watched(watcher: Any, block: Any) -> float:
    """A watched block; what passed since the last one was no training of the watcher's."""
    watcher.pace.left = time.perf_counter()
    return block(watcher)


ROWS = [Row("watch/resnet18", "A step of training ResNet-18 on 8 pictures of 96 pixels, watched at the default "
            "sampling, 8 probe pictures", steps, [Bound("time", PLAIN, 1.05)], measures=("time",), seconds=150.0)]
