"""Owen values: Shapley values of features that come in groups, and in groups of groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from pellucid.methods.rounds import ROUND, ends, sized
from pellucid.methods.shapley import in_orders
from pellucid.numbers import nested
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.nested import Tree
from pellucid.numbers.orders import Orders
from pellucid.words.case import Case
from pellucid.words.hierarchy import hierarchy
from pellucid.words.masks import Nested
from pellucid.words.method import Law, method

TOLD = 32
"""Groups whose values are told beside those of the features."""


@method(
    asks="score", paper="doi:10.1007/978-3-642-45494-3_7; doi:10.1007/BF01268161",
    laws=[Law.COMPLETE, Law.DUMMY, Law.LINEAR], coarse=True,
    formula="Shapley values over the orders in which every group comes in one piece",
    cost="up to samples rows; about 3/4 n² rows for halves of halves where that is fewer, then exact",
    use="parts that belong together: phrases, regions, columns of one theme; many features at little cost",
    avoid="features that act across groups: what two of them do together is shared between their groups",
)
async def owen(case: Case, *, groups: Any = None, samples: int = 4096, tolerance: float = 0.01) -> Estimate:
    """Each feature's Owen value: its mean contribution over the orders in which groups stay together.

    The groups of a text are its sentences and their parts, cut behind punctuation; those of a picture the
    halves of its grid, and their halves, down to the single patch (of superpixels by where they lie); those
    of a table are said by `groups`: a nested list of names or numbers, or a mapping from feature to group.
    Within a group all of its children are shuffled, at every level; without groups, and where every group
    is a single feature, these are the Shapley values. Where `samples` allow for every coalition that
    counts the values are exact; otherwise such orders are drawn in pairs, each with its reverse, until two
    standard errors are within `tolerance` of the values (norms over features; 0 never stops), at most
    `samples` rows, and one pair at least. The values sum to f(x) - f(b), those of a group to the group's own
    value among groups. Raises `groups.unknown`, `groups.twice`, `groups.unreadable`.
    """
    sized(samples, tolerance)
    tree = hierarchy(case.features, groups)
    if isinstance(tree, int) or nested.count(tree) > samples:
        found = await in_orders(case, Orders(case.features.n, case.seed, tree), samples, tolerance)
    else:
        found = await _exactly(case, tree)
    return replace(found, details={**found.details, **_told(tree, found.value)})


async def _exactly(case: Case, tree: Tree) -> Estimate:
    """Every coalition that counts, a round at a time."""
    here, none, full = await ends(case)
    values, every = nested.shares(tree, case.features.n, full - none), nested.count(tree)
    for first in range(0, every, ROUND):
        rows = Nested(tree, first, min(ROUND, every - first))
        values += nested.worth(tree, first, (await case.score(case.keep(rows))).double().cpu() - none)
    return Estimate.exact(values.to(here))


def _told(tree: Tree, values: Tensor) -> dict[str, Any]:
    """What the outermost groups are worth; numbered, for names may be words of a text."""
    outer = tree if isinstance(tree, tuple) else (tree,)
    if all(isinstance(part, int) for part in outer):
        return {"groups": "none: these are the Shapley values"}
    told: list[tuple[str, float]] = []
    for k, own in enumerate(map(nested.members, outer[:TOLD])):
        size = "1 feature" if len(own) == 1 else f"{len(own)} features"
        told.append((f"group {k + 1} ({size} from number {min(own)})", float(values[own].double().sum())))
    return {"groups": tuple(told)}
