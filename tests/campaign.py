"""The long campaign of faults: `make faults`, or `python tests/campaign.py 10000`. Fails where anything is left."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext, suppress
from typing import Any
from unittest import mock

import torch
from torch import nn

from pellucid.engine import shadow
from pellucid.testing.campaign import Report, campaign, drawn

EVERY = 100
"""Trials between two lines of progress."""


def bare(model: nn.Module) -> nn.Module:
    """What a shadow is made to be, done to the user's own model."""
    for module in model.modules():
        module.training = False
    return model.requires_grad_(False)


def say(thing: object) -> None:
    sys.stdout.write(f"{thing}\n")
    sys.stdout.flush()


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("count", nargs="?", type=int, default=10_000, help="faults that fire")
    asked.add_argument("--seed", type=int, default=0, help="number of the first trial")
    asked.add_argument("--only", type=int, help="one trial, by its number")
    asked.add_argument("--teeth", action="store_true", help="without the shadow: differences must be found")
    given = asked.parse_args()
    torch.set_num_threads(1)
    seen, report = 0, Report()

    def progress(now: Report) -> None:
        nonlocal seen, report
        seen, report = seen + 1, now
        if seen % EVERY == 0:
            say(report.line())

    if given.only is not None:
        say(drawn(given.only))
    else:
        say(f"{given.count} faults from trial {given.seed} on")
    without: Any = mock.patch.object(shadow, "cast", bare) if given.teeth else nullcontext()
    with without, suppress(KeyboardInterrupt):  # who ends it sees how far it came
        campaign(given.count, given.seed, given.only, progress)
    say(report.table())
    say(report.line())
    if given.only is None and report.faults < given.count:
        return 1
    if given.teeth:
        return 0 if len(report.found) > given.count / 5 else 1
    try:
        report.check()
    except AssertionError as found:
        say(found)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
