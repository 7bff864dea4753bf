"""Methods that switch features off and look at the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pellucid.methods.replicates import TOGETHER, Mean
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.sequential import widened
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.method import Law, Need, method
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


@method(
    asks="score", paper="doi:10.1023/A:1010933404324", laws=[Law.DUMMY, Law.LINEAR], coarse=True, baseline=True,
    needs=[Need.BACKGROUND], formula="mean over rows b of f(x) − f(x with feature i from b)",
    cost="n rows for each row of the background",
    use="tables: what a feature's own value is worth against the values that others have there",
    avoid="features that hang together: an exchanged value may make a row that cannot exist",
)
async def permutation(case: Case, *, baselines: Sequence[Any] = ()) -> Estimate:
    """What the score loses, on average, when a feature takes its value from another row.

    The mean of f(x) - f(x with feature i from b) over the rows b of a background: `baseline="draws:20"`
    for a table (which is taken if nothing is said), or a list of baselines. The error is one of the mean
    over the rows, as far as these were drawn at random; unknown for a single row. The paper permutes a
    column among all rows of a data set; here the other rows are given, and one row is explained. Raises
    `background.missing` where there are none.
    """
    if not case.alternatives:
        raise OptionError("background.missing", "no other rows to take values from", "at least two rows",
                          "give baseline=[row, row, …], or baseline='draws:20' for a table with a background")
    mean, n = Mean(case), case.features.n
    here = await case.score(case.here)
    for start in range(0, len(case.alternatives), TOGETHER):
        others = [case.from_baseline(b) for b in case.alternatives[start : start + TOGETHER]]
        without = await together(*(c.score(c.keep(LeaveOneOut(n))) for c in others))
        mean.add([replace(Estimate.exact(here - scores), place=case.features) for scores in without])
    found = mean.estimate()
    return replace(found, sampling=widened(found.sampling, len(case.alternatives)))


def _sized(
    given: int | tuple[int, ...] | None, shape: tuple[int, ...], usual: tuple[int, ...], name: str
) -> tuple[int, ...]:
    size = usual if given is None else (given,) * len(shape) if isinstance(given, int) else tuple(given)
    if len(size) != len(shape) or any(not 1 <= s <= length for s, length in zip(size, shape, strict=True)):
        raise OptionError("option.value", f"{name}={given}", f"whole numbers from 1 to {shape}",
                          "count features along the drawn shape")
    return size
