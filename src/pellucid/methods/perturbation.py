"""Methods that switch features off and look at the score."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.method import Law, method
from pellucid.words.points import LeaveOneOut, Windows


@method(
    asks="score", laws=[Law.DUMMY, Law.LINEAR], coarse=True, baseline=True,
    formula="f(x) − f(x without feature i)", cost="n rows for n features",
    use="any model, also one without gradients: what the score loses by a single feature",
    avoid="features that stand in for each other: without one the other still speaks, and both get little",
)
async def ablation(case: Case) -> Tensor:
    """What the score loses when a single feature is switched off: f(x) - f(x without it)."""
    here, without = await together(case.score(case.here), case.score(case.keep(LeaveOneOut(case.features.n))))
    return here - without


@method(
    asks="score", paper="arXiv:1311.2901", laws=[Law.LINEAR], baseline=True,
    formula="mean over windows W on i of f(x) − f(x without W)", cost="one row for each place of the window",
    use="pictures: what the score loses while a window hides a part",
    avoid="objects much larger or smaller than the window",
)
async def occlusion(
    case: Case, *, window: int | tuple[int, ...] | None = None, stride: int | tuple[int, ...] | None = None
) -> Tensor:
    """What the score loses while a window slides over the features and hides what is under it.

    A feature's value is the mean loss over the windows that cover it, so that an ignored feature beside
    one that matters gets a share. `window` and `stride` count
    features along the drawn shape; by default an eighth of a picture's side by half of that, and one by
    one over tokens and columns. Windows are cut at the far edges.
    """
    shape = case.features.shape
    eighth = tuple(max(1, s // 8) for s in shape) if case.features.kind == "image" else (1,) * len(shape)
    size = _sized(window, shape, eighth, "window")
    step = _sized(stride, shape, tuple(max(1, s // 2) for s in size), "stride")
    if any(far > wide for far, wide in zip(step, size, strict=True)):
        raise OptionError("option.value", f"stride={step} with window={size}", "a stride no larger than the window",
                          "take smaller steps, or features between the windows would get no value")
    windows = Windows(shape, size, step)
    here, hidden = await together(case.score(case.here), case.score(case.keep(windows)))
    loss, seen = torch.zeros(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64)
    for place, fall in enumerate((here - hidden).tolist()):
        loss[windows.box(place)] += fall
        seen[windows.box(place)] += 1
    return (loss / seen.clamp(min=1)).flatten().to(here)


def _sized(
    given: int | tuple[int, ...] | None, shape: tuple[int, ...], usual: tuple[int, ...], name: str
) -> tuple[int, ...]:
    size = usual if given is None else (given,) * len(shape) if isinstance(given, int) else tuple(given)
    if len(size) != len(shape) or any(not 1 <= s <= length for s, length in zip(size, shape, strict=True)):
        raise OptionError("option.value", f"{name}={given}", f"whole numbers from 1 to {shape}",
                          "count features along the drawn shape")
    return size
