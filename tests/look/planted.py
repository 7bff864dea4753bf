"""Faults planted in healthy networks over seeds, layer by layer: are they found, and is nothing else said?

`python -m tests.look.planted SEEDS`, 20 if left out; the suite runs a seed of it.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn

import pellucid
from pellucid.numbers.ranking import lots
from tests.look.bred import Attending, Convolutions, Squashing, pictures, trained

INPUTS = 96


@lru_cache(maxsize=4)
def _healthy(make: type[nn.Module], seed: int) -> nn.Module:
    return trained(make, seed)


def healthy(make: type[nn.Module], seed: int) -> nn.Module:
    """A trained network to plant a fault in."""
    return copy.deepcopy(_healthy(make, seed))


@dataclass(frozen=True)
class Planted:
    """A fault: what must be said of which layer and channels, and by which verb."""

    what: str
    net: nn.Module
    code: str
    layer: str
    channels: tuple[int, ...] | None = None


def killed(seed: int, at: int) -> Planted:
    """30 % of the channels behind the convolution at `at` never fire."""
    net = healthy(Convolutions, seed)
    n = net.features[at].out_channels
    gone = torch.randperm(n, generator=lots(seed, at))[: round(0.3 * n)].sort().values.tolist()
    with torch.no_grad():
        net.features[at + 1].bias[gone] = -50.0
    return Planted("killed", net, "channels.dead", f"features.{at + 2}", tuple(gone))


def saturated(seed: int, layer: str, shown: str) -> Planted:
    """A layer's weights are so large that what follows it is at an end of its range."""
    net = healthy(Squashing, seed)
    with torch.no_grad():
        for t in net.get_submodule(layer).parameters():
            t *= 60
    return Planted("saturated", net, "layer.saturated", shown)


def copied(seed: int, at: int) -> Planted:
    """A channel says what another does, at half the scale."""
    net = healthy(Convolutions, seed)
    conv, norm = net.features[at], net.features[at + 1]
    a, b = sorted(torch.randperm(conv.out_channels, generator=lots(seed, at))[:2].tolist())
    with torch.no_grad():
        conv.weight[b] = conv.weight[a] * 0.5
        norm.weight[b], norm.bias[b] = norm.weight[a], norm.bias[a]
        norm.running_mean[b], norm.running_var[b] = norm.running_mean[a] * 0.5, norm.running_var[a] * 0.25
    return Planted("copied", net, "channels.duplicated", f"features.{at + 1}", (b,))


def bare(seed: int, at: int) -> Planted:
    """A normalisation is left out, behind a convolution whose scale it had hidden."""
    net = healthy(Convolutions, seed)
    with torch.no_grad():
        net.features[at].weight *= 4.0 / float(net.features[at + 1].running_var.mean().sqrt())
    net.features[at + 1] = nn.Identity()
    return Planted("not normalised", net, "layer.unnormalised", f"features.{at}")


def alike(seed: int, block: int) -> Planted:
    """Two heads of a transformer's layer are made equal."""
    net = healthy(Attending, seed)
    a, b = torch.randperm(4, generator=lots(seed, block))[:2].tolist()
    qkv, wide = net.blocks[block].qkv, 6
    with torch.no_grad():
        for part in range(2):  # queries and keys: where a head looks
            here = [slice(24 * part + wide * h, 24 * part + wide * (h + 1)) for h in (a, b)]
            qkv.weight[here[1]], qkv.bias[here[1]] = qkv.weight[here[0]], qkv.bias[here[0]]
    return Planted("heads alike", net, "heads.same", f"blocks.{block}", (min(a, b), max(a, b)))


def plants(seed: int) -> Iterator[Callable[[], Planted]]:
    """Every fault in every layer that can have it."""
    for at in (0, 3, 6, 9, 12):
        yield lambda at=at: killed(seed, at)
        yield lambda at=at: copied(seed, at)
    for layer, shown in (("first", "tanh"), ("second", "again"), ("third", "sigmoid")):
        yield lambda layer=layer, shown=shown: saturated(seed, layer, shown)
    for at in (3, 6, 9):
        yield lambda at=at: bare(seed, at)
    for block in range(3):
        yield lambda block=block: alike(seed, block)


def judged(p: Planted, seed: int) -> tuple[bool, list[str]]:
    """Whether the fault was found as it was planted, and what else was said."""
    x = pictures(INPUTS, seed + 77777)[0]
    if p.code == "heads.same":
        said = pellucid.heads(p.net, x[:32], ablation="none").findings
        mine = [f for f in said if f.code == p.code and all(f"[{h}]" in f.reason for h in p.channels or ())]
        return bool(mine), [f"{f.code}: {f.reason}" for f in said if f not in mine]
    said = pellucid.activity(p.net, x, ("stages", "activations")).findings
    mine = [f for f in said if (f.code, f.layer) == (p.code, p.layer) and p.channels in (None, f.channels)]
    return bool(mine), [f"{f.code} {f.layer}: {f.reason}" for f in said if f not in mine]


def main(seeds: int) -> None:
    torch.set_num_threads(1)
    counts, others = dict[str, list[int]](), list[str]()
    for seed in range(seeds):
        for plant in plants(seed):
            p = plant()
            hit, more = judged(p, seed)
            tally = counts.setdefault(p.what, [0, 0, 0])
            tally[0], tally[1], tally[2] = tally[0] + 1, tally[1] + hit, tally[2] + bool(more)
            others += [f"    seed {seed}, {p.what} at {p.layer}{'' if hit else ' (missed)'}: {t}" for t in more or (
                [] if hit else ["nothing else"])]
    for what, (n, hit, more) in counts.items():
        sys.stdout.write(f"{what}: {hit} of {n} found as planted, {more} networks with another finding beside it\n")
    sys.stdout.writelines(f"{t}\n" for t in others)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
