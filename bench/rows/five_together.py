"""Five methods asked at once share their passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bench import models
from bench.row import Bound, Contest, Row
from bench.setup import Setup

ALONE = "the five one after another"
SINGLE = ("saliency", "input_x_gradient", "grad_cam", "hires_cam", "layer_cam", "grad_cam_plus_plus", "xgrad_cam",
          "guided_backprop", "eigen_cam")
MIXED = ("saliency", "input_x_gradient", "grad_cam", "integrated_gradients", "smooth(saliency)")


def chosen(names: tuple[str, ...]) -> list[str]:
    """The first five that the catalogue has."""
    from pellucid import catalog

    known = catalog.methods()
    return [n for n in names if n.partition("(")[0] in {*known, "smooth"}][:5]


def of(names: tuple[str, ...]) -> Callable[[Setup], Contest]:
    def build(setup: Setup) -> Contest:
        import pellucid

        model, x, five = models.resnet(18, setup.device), models.pictures(1, setup.device, 64), chosen(names)
        setup.chosen["the five"] = ", ".join(five)

        def stacked(found: dict[str, Any]) -> torch.Tensor:
            return torch.cat([found[name].values.flatten().double() for name in five])

        def alone() -> torch.Tensor:
            return stacked({name: pellucid.explain(model, x, name) for name in five})

        return Contest({"pellucid": lambda: stacked(pellucid.explain(model, x, list(five))), ALONE: alone},
                       reference=lambda: {"pellucid": alone()})

    return build


def lacking() -> str | None:
    found = chosen(SINGLE)
    return None if len(found) == 5 else f"only {len(found)} methods of a single pass: {', '.join(found)}"


ROWS = [
    Row("five_together/mixed", f"{', '.join(MIXED)} of ResNet-18 on a picture of 64 by 64, asked as one list (error: "
        "against alone)",
        of(MIXED), [Bound("time", ALONE, 0.75)]),
    Row("five_together/single_pass", "Five methods that take one pass each, on ResNet-18, 64 by 64, asked as one "
        "list (error: against alone)", of(SINGLE), [Bound("time", ALONE, 0.75)], needs=lacking),
]
