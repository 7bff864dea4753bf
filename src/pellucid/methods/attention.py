"""Methods that read attention: where tokens looked, and what of it spoke for the score."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pellucid.methods.queries import Queries, chained, shown, sites_named
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.ranks import spearman
from pellucid.words.ask import Ask, Each
from pellucid.words.case import Case
from pellucid.words.errors import LayerError, OptionError
from pellucid.words.features import Features, groups
from pellucid.words.method import AUTO, Law, Need, method
from pellucid.words.site import Site

ALONE = "attention.alone"
"""The note that values say where attention went, and nothing about the score."""

Grid = tuple[int, ...] | None


def over_heads(attention: Tensor) -> Tensor:
    """The mean over heads."""
    return attention.mean(-3)


def gated(slope: Tensor, attention: Tensor) -> Tensor:
    """ReLU(∂f/∂A · A), and its mean over heads."""
    return (slope * attention).clamp(min=0).mean(-3)


@method(
    asks="gradient", means="strength", paper="arXiv:1902.10186", laws=[Law.SYMMETRIC], gives="features",
    needs=[Need.ATTENTION],
    formula="mean over heads of A", cost="1 gradient behind the layer",
    use="to see where a layer looked; the verdict says how far that agrees with what spoke for the score",
    avoid="as an attribution: it is the same whatever is asked about; take attention_relevance",
)
async def attention(
    case: Case, *, layer: str | tuple[str, ...] = AUTO, layers: str | tuple[str, ...] = AUTO, query: str | int = AUTO,
    grid: tuple[int, ...] | None = None,
) -> Estimate:
    """Where a layer's attention went, as a mean over heads: no attribution, for it does not know the score.

    The rows of A that belong to `query`, averaged over heads, and over layers where `layer` names several; the last
    layer if none is named. `query` is whose attention is read: `auto` the tokens through which the last of `layers`
    reaches the score (the class token, a causal model's last token, all tokens under a mean), or `first`, `last`,
    `mean`, or a number from 0. `grid` says how a picture's patches lie (rows, columns); tokens before them are left
    out. `details` say how far the ranks of the values agree with those of gradient_attention.
    """
    maps, queries = await _of(case, layer, layers, query, (_read, _gated))
    seen, spoke = (_laid(case, _mean(maps[k::2], queries), grid) for k in range(2))
    agreement = spearman(seen.value, spoke.value)
    return _told(seen, (ALONE,), query=queries.told, agreement="undefined" if agreement is None else agreement)


@method(
    asks="gradient", paper="arXiv:2204.11073", laws=[Law.SYMMETRIC], gives="features", needs=[Need.ATTENTION],
    formula="mean over heads of ReLU(∂f/∂A · A)", cost="1 gradient behind the layer",
    use="which tokens a layer's attention brought to the score, for the price of a gradient behind it",
    avoid="what layers before brought together; take attention_relevance",
)
async def gradient_attention(
    case: Case, *, layer: str | tuple[str, ...] = AUTO, layers: str | tuple[str, ...] = AUTO, query: str | int = AUTO,
    grid: tuple[int, ...] | None = None,
) -> Estimate:
    """Which tokens a layer's attention brought to the score: attention times its gradient where that is positive.

    ReLU(∂f/∂A ⊙ A) averaged over heads, and over layers where `layer` names several, in the rows of `query`. The
    last layer is taken if none is named; the paper averages over all layers and queries. The other options are
    those of `attention`.
    """
    maps, queries = await _of(case, layer, layers, query, (_gated,))
    return _told(_laid(case, _mean(maps, queries), grid), query=queries.told)


@method(
    asks="gradient", means="strength", paper="arXiv:2005.00928", laws=[Law.SYMMETRIC], gives="features",
    needs=[Need.ATTENTION, Need.SELF_ATTENTION],
    formula="a row of the product of (A + I) / row sums, A the mean over heads",
    cost="1 forward, and a gradient behind the last attention",
    use="where attention came from through all layers, skip connections counted as half",
    avoid="as an attribution: it is the same for every class; take attention_relevance",
)
async def attention_rollout(
    case: Case, *, layers: str | tuple[str, ...] = AUTO, query: str | int = AUTO, grid: tuple[int, ...] | None = None
) -> Estimate:
    """How attention leads from the output back to the tokens through all layers, whatever the score is.

    R = Â_L ⋯ Â_1 with Â = ½ A + ½ I, A the mean over heads, each row divided by its sum; the rows of R that belong
    to `query`. They are followed from the last layer to the first, so that whole matrices are never multiplied.
    Over all tokens, those left out included, the values sum to 1. The options are those of `attention`.
    """
    row, told = await chained(case, sites_named(layers, "layers"), query, lambda s: _read(case, s), flowed,
                              _expected(case, grid))
    return _told(_laid(case, row, grid), (ALONE,), query=told)


@method(
    asks="gradient", paper="arXiv:2103.15679", laws=[Law.SYMMETRIC], gives="features",
    needs=[Need.ATTENTION, Need.SELF_ATTENTION],
    formula="R ← R + Ā R from R = I, Ā = mean over heads of ReLU(∂f/∂A · A)", cost="1 gradient",
    use="which tokens spoke for the score in a transformer, through all its layers",
    avoid="what spoke against the score, which is cut off; models that look at a second sequence",
)
async def attention_relevance(
    case: Case, *, layers: str | tuple[str, ...] = AUTO, query: str | int = AUTO, grid: tuple[int, ...] | None = None
) -> Estimate:
    """Which tokens spoke for the score, followed through every layer's attention (Chefer et al., generic rule).

    R ← R + Ā R from R = I, layer after layer, with Ā the mean over heads of ReLU(∂f/∂A ⊙ A); the rows of R that
    belong to `query`. They are followed from the last layer to the first, so that whole matrices are never
    multiplied. Of R the I that it starts from is taken off again: a causal model's last token spoke no more for
    being the one that is read. Encoders only: for attention to a second sequence the paper has other rules. The
    options are those of `attention`.
    """
    row, told = await chained(case, sites_named(layers, "layers"), query, lambda s: _gated(case, s), relevant,
                              _expected(case, grid), start=False)
    return _told(_laid(case, row, grid), query=told)


def flowed(row: Tensor, attention: Tensor) -> Tensor:
    """row · (A + I) / row sums."""
    row = row / (attention.sum(1) + 1)
    return row + row @ attention


def relevant(row: Tensor, attention: Tensor) -> Tensor:
    """row · (I + Ā)."""
    return row + row @ attention


def _read(case: Case, site: Site) -> Ask:
    return case.reading(case.here, of=site, weights=Each(over_heads))


def _gated(case: Case, site: Site) -> Ask:
    return case.gradient(case.here, wrt=site, weights=Each(gated, site))


async def _of(case: Case, layer: Any, layers: Any, query: str | int, kinds: Sequence[Callable[[Case, Site], Ask]]
              ) -> tuple[list[Tensor], Queries]:
    """Maps of each kind for each layer that `layer` names, and the queries to read."""
    asks = [(site, kind(case, site)) for site in sites_named(layer, "layer") for kind in kinds]
    return await shown(case, asks, sites_named(layers, "layers"), query)


def _mean(maps: Sequence[Tensor], queries: Queries) -> Tensor:
    """The rows that are read, averaged over layers."""
    if len({m.shape for m in maps}) > 1:
        sizes = sorted({f"{m.shape[0]} by {m.shape[1]}" for m in maps})
        raise LayerError("attention.sizes", f"layers over {' and '.join(sizes)} tokens",
                         "the same tokens in every layer that is read", "show these layers one by one")
    return torch.stack([queries.rows(m) for m in maps]).mean(0)


def _expected(case: Case, grid: Grid) -> int:
    """About how many tokens there are, before any attention has been seen."""
    return math.prod(grid) if grid is not None else case.origin.shape[0] if case.origin.dim() == 2 else 256


def _laid(case: Case, row: Tensor, grid: Grid) -> Estimate:
    """Values over keys as they are drawn: over a picture's patches, the case's own features, or plain tokens."""
    n, row = len(row), row.to(case.origin)
    if grid is not None and len(grid) == 2:
        count = math.prod(grid)
        if not 0 < count <= n:
            raise OptionError("option.value", f"grid={tuple(grid)}", f"rows and columns of at most {n} patches",
                              "leave grid out, or give the patches' rows and columns")
        values, told = row[n - count :].reshape(grid), f"{grid[0]} by {grid[1]} patches"
        place = Features(torch.arange(count).reshape(grid), (0, 1), tuple(grid), "image", "map")
        told += f" after {n - count} other {'token' if n - count == 1 else 'tokens'}" if n > count else ""
    elif tuple(case.features.index.shape) == (n,):
        values, place, told = case.features.gather(row, 1), case.features, f"{n} tokens"
    else:
        values, told = row, f"{n} tokens"
        place = groups(range(n), [f"token {k}" for k in range(n)], "units", "positions")
    exact = Estimate.exact(values)
    return Estimate(exact.value, exact.numerical, exact.sampling, (), place, {"places": told})


def _told(found: Estimate, notes: tuple[str, ...] = (), **details: str | float) -> Estimate:
    return Estimate(found.value, found.numerical, found.sampling, notes, found.place, {**details, **found.details})
