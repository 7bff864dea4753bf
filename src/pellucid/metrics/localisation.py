"""Localisation: do the values lie where the user says that the reason is?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pellucid.words.case import Case
from pellucid.words.errors import OptionError, nearest
from pellucid.words.features import Features
from pellucid.words.metric import Attribution, Measured, metric


def inside(mask: Any, features: Features) -> Tensor:
    """The share of each feature that lies inside a mask: (n,), float64.

    `mask` is True inside: over the positions (rows, columns), or one entry per feature; a box (left, top, right,
    bottom) in pixels of what the model is fed, right and bottom not in it; or names of features. Raises
    `metric.mask` for what does not fit, and for a mask with nothing inside or nothing outside.
    """
    if mask is None:
        raise _unfit("no mask", features)
    if isinstance(mask, str) or (isinstance(mask, Sequence) and mask and all(isinstance(m, str) for m in mask)):
        shares = _named([mask] if isinstance(mask, str) else list(mask), features)
    else:
        shares = _laid(_tensor(mask, features), features)
    if not 0 < float(shares.sum()) < len(shares):
        some = "all" if bool(shares.any()) else "none"
        raise OptionError("metric.mask", f"a mask with {some} of the features inside", "some inside and some outside",
                          "draw it about what should speak for the score")
    return shares


def _tensor(mask: Any, features: Features) -> Tensor:
    try:
        found = torch.as_tensor(mask).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise _unfit(f"a {type(mask).__name__} as mask", features) from error
    if found.dtype != torch.bool and found.dim() == 1 and len(found) == 4 and features.index.dim() == 2:
        return _boxed(found, features)
    if found.dtype != torch.bool and not bool(((found == 0) | (found == 1)).all()):
        raise _unfit("a mask with other numbers than 0 and 1", features)
    return found.bool()


def _boxed(box: Tensor, features: Features) -> Tensor:
    left, top, right, bottom = (int(v) for v in box.tolist())
    rows, columns = features.index.shape
    if not (0 <= left < right <= columns and 0 <= top < bottom <= rows) or bool((box != box.round()).any()):
        raise OptionError("metric.mask", f"the box {tuple(box.tolist())}",
                          f"whole numbers (left, top, right, bottom) in a picture of {columns} by {rows} pixels",
                          "count pixels of the picture as the model is fed it, right and bottom not in the box")
    found = torch.zeros(rows, columns, dtype=torch.bool)
    found[top:bottom, left:right] = True
    return found


def _named(names: list[str], features: Features) -> Tensor:
    shares = torch.zeros(features.n, dtype=torch.float64)
    for name in names:
        at = [k for k, known in enumerate(features.names) if known == name]
        if not at:
            raise OptionError("metric.mask", repr(name), f"names of {features.name}",
                              nearest(name, features.names) if features.names else "give a mask over the positions")
        shares[at] = 1.0
    return shares


def _laid(mask: Tensor, features: Features) -> Tensor:
    if mask.shape == features.index.shape:
        flat, slots = mask.flatten().double(), features.index.flatten()
        keep = slots >= 0
        held = torch.zeros(features.n, dtype=torch.float64).index_add(0, slots[keep], flat[keep])
        return held / features.sizes.clamp(min=1)
    if mask.numel() == features.n and tuple(mask.shape) in ((features.n,), tuple(features.shape)):
        return mask.flatten().double()
    raise _unfit(f"a mask of shape {tuple(mask.shape)}", features)


def _unfit(found: str, features: Features) -> OptionError:
    over, named = tuple(features.index.shape), " or names of them" if features.names else ""
    box = ", a box (left, top, right, bottom)" if features.index.dim() == 2 else ""
    return OptionError("metric.mask", found, f"True and False over positions {over} or over {features.n} features"
                       f"{box}{named}", "give mask=, True where what should speak for the score is")


def within(mask: Any, case: Case) -> Tensor:
    """The features at least half of which lie inside: (n,), bool."""
    found = inside(mask, case.features) >= 0.5
    if not bool(found.any()):
        raise OptionError("metric.mask", f"a mask that holds no half of any of the {case.features.n} features",
                          "one feature at least", "take a finer layout: features='pixels'")
    return found


def wide(mask: Tensor, features: Features, tolerance: float) -> Tensor:
    """The features (n,) with those that come within so many pixels of them."""
    if tolerance < 0 or (tolerance and features.index.dim() != 2):
        raise OptionError("option.value", f"tolerance={tolerance!r} over {features.name}",
                          "pixels from 0, over a picture", "leave it out")
    if not tolerance:
        return mask
    area, reach = features.paint(mask.double())[None, None], int(tolerance)
    step = torch.arange(-reach, reach + 1, dtype=torch.float64)
    disc = (step[:, None] ** 2 + step**2 <= tolerance**2).double()[None, None]
    near = torch.nn.functional.conv2d(area, disc, padding=reach)[0, 0] > 0.5
    return _laid(near, features) >= 0.5


@metric(
    kind="localisation", asks="nothing", better="high", paper="arXiv:1608.00507", needs=("mask",),
    formula="1 if argmax φ is inside the mask, else 0", cost="no rows",
    use="does the highest value lie on the thing?", avoid="a mask that you only believe to hold the model's reason",
)
async def pointing_game(case: Case, shown: Attribution, *, mask: Any = None, tolerance: float = 0.0) -> Measured:
    """Whether the highest value lies inside the mask: 1 or 0; where several are highest, their share inside.

    `mask` is True over the positions or the features that are inside, a box (left, top, right, bottom) in pixels of
    the picture as the model is fed it, or names of features; a feature is inside with half of it. `tolerance` counts
    as inside what comes so near, in pixels. The paper takes 15 pixels and means over a data set.
    """
    hit = wide(within(mask, case), case.features, tolerance)
    return Measured(float(hit[shown.values == shown.values.max()].double().mean()))


@metric(
    kind="localisation", asks="nothing", better="high", paper="arXiv:2003.07258", needs=("mask",),
    formula="Σ_inside φ⁺ / Σ φ⁺", cost="no rows",
    use="how much of what speaks for the score lies on the thing?",
    avoid="a mask that you only believe to hold the model's reason; compare with `area` in details",
)
async def relevance_mass(case: Case, shown: Attribution, *, mask: Any = None) -> Measured:
    """The share of the positive values that lies inside the mask.

    `mask` is as in pointing_game; of a feature that lies partly inside, that part counts. `details` holds the mask's
    share of the features (`area`): what a map without a preference would have. Raises `metric.degenerate` where no
    value is positive.
    """
    shares, positive = inside(mask, case.features), shown.values.clamp(min=0)
    total = float(positive.sum())
    if total == 0:
        raise OptionError("metric.degenerate", "no value above zero", "values that speak for the score",
                          "try another target or layer, or mask_auc, which reads the order only")
    sizes = case.features.sizes.double()
    return Measured(float((positive * shares).sum()) / total,
                    details={"area": float((shares * sizes).sum() / sizes.sum())})


@metric(
    kind="localisation", asks="nothing", better="high", paper="arXiv:2003.07258", needs=("mask",),
    formula="|top K of φ ∩ inside| / K, K = |inside|", cost="no rows",
    use="are the features inside the ones with the highest values?",
    avoid="a mask that you only believe to hold the model's reason",
)
async def relevance_rank(case: Case, shown: Attribution, *, mask: Any = None) -> Measured:
    """The share of the K highest values that lies inside the mask, where K is how many features are inside.

    `mask` is as in pointing_game. Of values that tie for the last places the mean over all orders is taken.
    """
    hit = within(mask, case)
    k, values = int(hit.sum()), shown.values
    last = values.sort(descending=True).values[k - 1]
    above, tied = values > last, values == last
    share = (k - int(above.sum())) / int(tied.sum())
    return Measured((float((above & hit).sum()) + share * float((tied & hit).sum())) / k)


@metric(
    kind="localisation", asks="nothing", better="high", paper="doi:10.1148/radiology.143.1.7063747", needs=("mask",),
    formula="P(φ_i > φ_j) + P(φ_i = φ_j) / 2, i inside, j outside", cost="no rows",
    use="does the order of the values tell inside from outside, whatever their scale?",
    avoid="small masks in large pictures, where most of the order is of no interest",
)
async def mask_auc(case: Case, shown: Attribution, *, mask: Any = None) -> Measured:
    """The area under the ROC curve of the values as a sign of being inside: 1/2 where they say nothing of it.

    `mask` is as in pointing_game. Equal values count half.
    """
    hit = within(mask, case)
    inner, outer = shown.values[hit], shown.values[~hit].sort().values
    if not len(outer):
        raise OptionError("metric.mask", "a mask with half of every feature inside", "some features outside",
                          "draw it tighter, or take a finer layout")
    below = torch.searchsorted(outer, inner).double()
    upto = torch.searchsorted(outer, inner, right=True).double()
    return Measured(float((below + upto).sum()) / (2 * len(inner) * len(outer)))
