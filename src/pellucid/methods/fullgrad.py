"""FullGrad: the score of a piecewise linear network taken apart into its input's and its biases' shares."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pellucid.methods.maps import laid, picture, placed, resized
from pellucid.numbers.estimate import Estimate
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.method import AUTO, Need, method
from pellucid.words.site import Site

RESCALES = ("channel", "layer")

APART = 1e-3
"""How far the parts may miss the score, relative to the largest of them: float32 stays well below."""


@method(
    asks="gradient", means="strength", paper="arXiv:1905.00780", gives="map", needs=[Need.BIASES, Need.PICTURE],
    formula="ψ(x · ∂f/∂x) + Σ over biases b of ψ(b · ∂f/∂b), ψ = upsample(rescale(|·|))",
    cost="1 gradient, and as much again for the biases' own values",
    use="networks of ReLUs: input and biases together account for the whole score",
    avoid="GELU, attention, LayerNorm: the parts do not add up to the score there (details: explained)",
)
async def full_grad(
    case: Case, *, layers: str | tuple[str, ...] = AUTO, grid: Any = None, rescale: str = "channel",
    absolute: bool = True,
) -> Estimate:
    """Where the input and the biases of all layers spoke for the score, added up at the input's places.

    f(x) = Σ x · ∂f/∂x + Σ b · ∂f/∂b for networks of ReLUs, poolings and sums: `details` say what the input
    and the biases bring, and which share of the score both explain. The map is Σ ψ over the channels of the
    input's part and of every bias part that has places, ψ(·) = upsample(rescale(|·|)): between 0 and 1, and
    interpolated (bilinear). `rescale="channel"` takes each channel for itself, as equation 3 has it;
    "layer" all channels of a layer together, as the authors' code does. Without `absolute` parts keep their
    sign and are divided by their largest size. `layers` are the sites `NAME:bias` that are read, all by
    default; `grid` one entry for each whose channels come last.
    """
    named = (layers,) if isinstance(layers, str) else tuple(layers)
    sites = [str(replace(Site.parse(name), part="bias")) for name in named]
    grids: list[Any] = [None] * len(sites) if grid is None else list(grid)
    if rescale not in RESCALES or len(grids) != len(sites):
        raise OptionError("option.value", f"rescale={rescale!r}, {len(grids)} grids for {len(sites)} layers",
                          "rescale 'channel' or 'layer', and a grid for each layer or none",
                          "leave both out for what the paper does")
    axes = case.origin.dim() - 1
    size = picture(case, axes)
    asks = [case.gradient(case.here), *(case.gradient(case.here, wrt=s) for s in sites)]
    slopes, biases, score = await together(
        together(*asks), together(*(case.reading(case.here, of=s) for s in sites)), case.score(case.here))
    total = torch.zeros(size, dtype=torch.float64, device=case.origin.device)
    values, sums = [case.x, *(b[0] for b in biases)], list[float]()
    for value, slope, site, its in zip(values, slopes, ("input", *sites), (None, *grids), strict=True):
        part = (value * slope[0]).double()
        sums.append(float(part.sum()))
        if part.dim() == axes + 1 or (its and len(its) == axes):
            found = _rescaled(placed(part, site, None if its is None else tuple(its)), rescale, absolute)
            total += resized(found.sum(0), size)  # interpolation is linear: once per layer is enough
    whole, given = sum(sums), float(score)
    details: dict[str, Any] = {"input": sums[0], "biases": whole - sums[0]}
    if given:
        details["explained"] = whole / given
    apart = abs(whole - given) > APART * max(abs(given), *map(abs, sums))
    return replace(laid(total.to(case.origin.dtype), **details), notes=("parts.apart",) if apart else ())


def _rescaled(part: Tensor, over: str, absolute: bool) -> Tensor:
    """ψ without the interpolation: sizes between 0 and 1, or signed values of at most 1."""
    size = part.abs()
    flat = size.flatten(1) if over == "channel" else size.flatten()[None]
    low, high = (v.reshape(-1, *[1] * (part.dim() - 1)) for v in (flat.amin(1), flat.amax(1)))
    if not absolute:
        return torch.where(high > 0, part / high, 0.0)
    return torch.where(high > low, (size - low) / (high - low), 0.0)
