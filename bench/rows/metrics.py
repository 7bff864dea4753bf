"""Metrics beside Quantus at the same definition, and with the controls that make a number mean something."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench import models
from bench.row import OURS, TUNED, Bound, Contest, Row
from bench.setup import Setup

PEER, FLOOR = "Quantus", "the model alone on the same rows"
SIDE, STEP, SIZE, CONTROLS = 64, 256, 224, 20
BOUNDS = [Bound("time", PEER, 1 / 5), Bound("time", PEER, 1 / 5, TUNED)]


class Scene:
    """ResNet-18, some pictures, and gradients with their sign: every colour of every pixel has its own value."""

    def __init__(self, setup: Setup, pictures: int) -> None:
        import pellucid
        from pellucid.words.features import units

        self.model, self.x = models.resnet(18, setup.device), models.pictures(4, setup.device, SIDE)[:pictures]
        self.targets, self.place = models.classes_of(self.model, self.x), units((3, SIDE, SIDE))
        self.es = pellucid.explain(self.model, list(self.x[:, None]), "saliency", absolute=False, target=self.targets,
                                   features=self.place)
        self.values = torch.stack([e.values.reshape(3, SIDE, SIDE) for e in self.es])

    def ours(self, metric: str, controls: int = 0, **options: Any) -> dict[str, Callable[[], list[Any]]]:
        """The metric of the explanations, by the model's own layers and by its copy for speed."""
        import pellucid

        def found(precision: str) -> list[Any]:
            return [e[metric] for e in pellucid.evaluate(self.es, metrics=metric, controls=controls, baseline=0.0,
                                                         precision=precision, **options)]

        return {OURS: lambda: found("exact"), TUNED: lambda: found("fast")}

    def quantus(self, metric: Any, values: Tensor) -> Any:
        """Quantus' metric of these values (pictures, 3, side, side), on scores before a softmax, all at a time."""
        return metric(model=self.model, x_batch=self.x.cpu().numpy(), y_batch=torch.tensor(self.targets).numpy(),
                      a_batch=values.cpu().numpy(), softmax=False, device=str(self.x.device), channel_first=True)

    def floor(self, setup: Setup, rows: int) -> Callable[[], None]:
        """The model on so many rows in inference mode at its best batch; the rows are there already."""
        made = self.x[:1].repeat(64, 1, 1, 1)

        def alone(batch: int) -> None:
            with torch.inference_mode():
                for start in range(0, rows, batch):
                    self.model(made[: min(batch, rows - start)])

        best = setup.best("best batch of the model alone", {n: lambda n=n: alone(n) for n in (4, 16, 32, 64)})
        return lambda: alone(best)


def plain(**more: Any) -> dict[str, Any]:
    """Quantus without what changes the definition or prints."""
    return {"normalise": False, "abs": False, "perturb_baseline": 0.0, "return_aggregate": False,
            "disable_warnings": True, "display_progressbar": False, **more}


def pixel_flipping(setup: Setup) -> Contest:
    import quantus

    scene, peer = Scene(setup, 4), quantus.PixelFlipping(features_in_step=STEP, **plain())
    ours = {name: (lambda call=call: torch.tensor([[y for _, y in m.curve[1:]] for m in call()]))
            for name, call in scene.ours("pixel_flipping", features=scene.place, step=STEP).items()}
    steps = -(-scene.values[0].numel() // STEP)
    return Contest({**ours, FLOOR: scene.floor(setup, 4 * steps),
                    PEER: lambda: torch.tensor(scene.quantus(peer, scene.values))},
                   lambda: flipped(scene.model, scene.x, scene.values, scene.targets))


def flipped(model: nn.Module, x: Tensor, values: Tensor, targets: list[int]) -> Tensor:
    """The scores in float64 while entries become zero, the largest values first."""
    model, curves = copy.deepcopy(model).double(), list[list[Tensor]]()
    for picture, value, target in zip(x.double(), values, targets, strict=True):
        order, row, curve = value.flatten().argsort(descending=True), picture.flatten().clone(), list[Tensor]()
        for start in range(0, len(order), STEP):
            row[order[start : start + STEP]] = 0
            with torch.no_grad():
                curve.append(model(row.reshape(1, *picture.shape))[0, target])
        curves.append(curve)
    return torch.stack([torch.stack(c) for c in curves])


def correlation(pictures: int, runs: int, controls: int = 0) -> Callable[[Setup], Contest]:
    def build(setup: Setup) -> Contest:
        import quantus

        from pellucid.numbers.ranking import elsewhere

        scene, peer = Scene(setup, pictures), quantus.FaithfulnessCorrelation(nr_runs=runs, subset_size=SIZE, **plain())
        maps = [scene.values] + [
            torch.stack([elsewhere(v.flatten(), (v.numel(),), 1 + k, 0).reshape(v.shape) for v in scene.values])
            for k in range(controls)]
        ours = scene.ours("faithfulness_correlation", controls, features=scene.place, samples=runs, size=SIZE)
        sides: dict[str, Callable[[], Any]] = {**ours, PEER: lambda: [scene.quantus(peer, m) for m in maps]}
        if not controls:
            sides[FLOOR] = scene.floor(setup, pictures * (runs + 1))
        return Contest(sides)

    return build


ROWS = [
    Row("metrics/pixel_flipping", f"Pixel flipping of 4 pictures of {SIDE} by {SIDE}, {STEP} entries a step, "
        "ResNet-18: the curve", pixel_flipping, BOUNDS),
    Row("metrics/correlation", f"Faithfulness correlation of 4 such pictures, 100 subsets of {SIZE} entries",
        correlation(4, 100), BOUNDS, measures=("time",)),
    Row("metrics/correlation_with_controls", f"The same of 1 picture, 50 subsets, beside {CONTROLS} controls (the "
        "same values at other places): Quantus is asked about each", correlation(1, 50, CONTROLS), BOUNDS,
        measures=("time",)),
]
