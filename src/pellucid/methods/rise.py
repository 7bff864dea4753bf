"""The score under thousands of random masks."""

from __future__ import annotations

from pellucid.numbers.estimate import Estimate
from pellucid.numbers.kept import Kept
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.masks import Coins, Grids
from pellucid.words.method import Law, method

ROWS = 16
"""Masks that are held at a time where their scores are laid back over the features."""


@method(
    asks="score", paper="arXiv:1806.07421", laws=[Law.LINEAR], baseline=True,
    formula="Σ f(x · M) M / Σ M − mean f, over random masks M", cost="masks rows",
    use="pictures and models without gradients: a map as fine as the pixels, with an error for each",
    avoid="where single values count: thousands of masks leave a noise that its error bars show",
)
async def rise(
    case: Case, *, masks: int = 4000, kept: float = 0.5, cells: int = 8, centred: bool = True
) -> Estimate:
    """The mean score over the random masks that kept each feature, less the mean over all masks.

    Σ f(x · M) M / Σ M - mean f, in units of score; what is masked becomes the baseline. Where features lie in
    rows and columns (pixels, patches) a mask is a grid of `cells` by `cells`, each kept with probability
    `kept`, enlarged bilinearly to one cell more than the shape and cut out at a random shift: soft at its
    edges. Elsewhere every feature is kept or not by itself. With `centred` off the mean over all masks stays
    in, as in the paper; it divides by `kept` times the number of masks, which has the same limit, but gives a
    constant score a map of noise. The error is per value, from the spread over the masks.
    """
    if masks < 1 or cells < 1 or not 0 < kept < 1:
        raise OptionError("option.value", f"masks={masks}, cells={cells}, kept={kept!r}",
                          "masks and cells from 1, kept between 0 and 1", "try masks=4000, cells=8, kept=0.5")
    features, shape = case.features, case.features.shape
    soft = features.kind == "image" and len(shape) == 2
    made = Grids((shape[0], shape[1]), masks, cells, kept, case.seed) if soft else Coins(
        features.n, masks, kept, case.seed)
    sums = Kept((await case.score(case.keep(made))).double().cpu(), features.n, centred)
    for first in range(0, masks, ROWS):
        sums.add(first, made.block(features, first, min(first + ROWS, masks)).double())
    values, error = sums.values(), sums.error()
    notes = () if error is not None else ("masks.few",)
    return Estimate(values, values.new_zeros(values.shape), error, notes).to(case.origin.dtype)
