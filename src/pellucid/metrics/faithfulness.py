"""Faithfulness: do the values say how much the score changes when features are switched off together?"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pellucid.numbers.correlation import constant, jackknife, pearson, spearman
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.metric import Attribution, Measured, metric
from pellucid.words.points import Chosen
from pellucid.words.subsets import Shaken, Sized

SAMPLES, SIZE = 200, 0.2
"""So many subsets, each of this share of the features: where several metrics ask, they ask about the same."""


def signed(shown: Attribution) -> Tensor:
    """The values, where their sums can say what the score does: a strength or a reaction has no sign to add up."""
    if len(shown.values) < 2:
        raise OptionError("metric.unfit", "a single feature", "several features to switch off",
                          "give features= that cut the input into smaller parts")
    if shown.means != "effect":
        raise OptionError(
            "metric.unfit", f"values that are a {shown.means}", "effects on the score, with their sign",
            "explain with absolute=False where there is that option, or take metrics that read the order only, such "
            "as deletion, insertion and road")
    return shown.values


def degenerate(what: str, do: str) -> OptionError:
    """There is no number: what is compared does not vary."""
    return OptionError("metric.degenerate", what, "values and scores that differ", do)


def counted(size: float, n: int) -> int:
    """How many features a subset holds: a whole number is a number of features, a fraction a share of them."""
    count = size if isinstance(size, int) else max(1, round(size * n)) if 0 < size < 1 else 0
    if not 1 <= count < n:
        raise OptionError("option.value", f"size={size!r} of {n} features", f"1 to {n - 1}, or a share between 0 and 1",
                          "leave it out for a fifth of the features")
    return count


async def dropped(case: Case, values: Tensor, count: int, samples: int) -> tuple[Tensor, Tensor, bool]:
    """Σφ over random subsets of `count` features, the score's drop without them, and whether these are all subsets."""
    if samples < 4:
        raise OptionError("option.value", f"samples={samples}", "4 or more", "leave it out for the usual number")
    subsets = Sized(case.features.n, count, samples, case.seed)
    here, without = await together(case.score(case.here), case.score(case.keep(subsets)))
    return subsets.totals(values, case.features), _drops(here, without), subsets.every


def _drops(here: Tensor, without: Tensor) -> Tensor:
    """f(x) - f(…), zero where the two differ by no more than rounding."""
    here, rounding = here.detach().cpu(), torch.finfo(without.dtype).eps
    drops = here.double() - without.detach().cpu().double()
    return torch.where(drops.abs() <= 16 * rounding * here.double().abs(), 0.0, drops)


def correlated(
    by: Callable[[Tensor, Tensor], tuple[float, float]], totals: Tensor, drops: Tensor, every: bool
) -> tuple[float, float]:
    """A correlation of values and drops with its error, which is none where no subset was left out."""
    if constant(totals):
        raise degenerate("values that sum to the same over every subset",
                         "a map without differences has no order to judge; try another method, layer or more samples")
    if constant(drops):
        raise degenerate("a score that drops equally without any subset",
                         "try another target or baseline, or larger subsets")
    found, error = by(totals, drops)
    return found, 0.0 if every else error


@metric(
    kind="faithfulness", asks="score", better="high", paper="arXiv:2005.00631",
    formula="Pearson correlation over random subsets S of one size of Σ_S φ with f(x) − f(x without S)",
    cost="samples + 1 rows",
    use="do the values add up as the score does, whatever their scale?",
    avoid="values without a sign; pixels by themselves, where a random subset looks like nothing the model has seen",
)
async def faithfulness_correlation(
    case: Case, shown: Attribution, *, samples: int = SAMPLES, size: float = SIZE
) -> Measured:
    """How well sums of values follow the score's drop over random subsets of one size.

    The Pearson correlation of Σ_S φ with f(x) - f(x without S) over `samples` subsets S, where what is without
    becomes the baseline. `size` is a share of the features, or a whole number of them. Where there are no more
    than `samples` subsets, each is taken once, and the number is exact; else its error is the jackknife's.
    Raises `metric.unfit` for values without a sign, `metric.degenerate` where values or drops do not differ.
    """
    values, count = signed(shown), counted(size, case.features.n)
    found, error = correlated(pearson, *await dropped(case, values, count, samples))
    return Measured(found, error, details={"size": count})


@metric(
    kind="faithfulness", asks="score", better="high", paper="arXiv:2005.00631",
    formula="Spearman correlation over random subsets S of one size of Σ_S φ with f(x) − f(x without S)",
    cost="samples + 1 rows, shared with faithfulness_correlation",
    use="as faithfulness_correlation where only the order counts, and single large drops should not decide",
    avoid="values without a sign; pixels by themselves, where a random subset looks like nothing the model has seen",
)
async def mu_fidelity(
    case: Case, shown: Attribution, *, samples: int = SAMPLES, size: float = SIZE
) -> Measured:
    """How well the order of sums of values follows that of the score's drops over random subsets (µ-fidelity).

    As faithfulness_correlation with Spearman's rank correlation, over the same subsets. Others write 0 where
    there is no correlation, as for a constant map; here that is said (`metric.degenerate`).
    """
    values, count = signed(shown), counted(size, case.features.n)
    found, error = correlated(spearman, *await dropped(case, values, count, samples))
    return Measured(found, error, details={"size": count})


@metric(
    kind="faithfulness", asks="score", better="high", paper="arXiv:1711.06104",
    formula="mean over n of the Pearson correlation over subsets S of n features of Σ_S φ with f(x) − f(x without S)",
    cost="sizes × samples + 1 rows",
    use="at which number of features do the values stop to tell what the score does?",
    avoid="values without a sign; pixels by themselves, where a random subset looks like nothing the model has seen",
)
async def sensitivity_n(
    case: Case, shown: Attribution, *, samples: int = 100, sizes: int = 8, most: float = 0.8
) -> Measured:
    """How well sums of values follow the score's drop over random subsets, for subsets of many sizes.

    As faithfulness_correlation, for `sizes` numbers n of features from 1 to the share `most` of all, evenly spaced
    by ratio; the curve is the correlation over n / N, the number its mean. Subsets are drawn at random, as in the
    paper. Sizes at which the sums or the drops do not differ have no correlation and are left out, which
    `details` tells; where none has one, `metric.degenerate` is raised. The paper draws the curve, and has no mean.
    """
    values, n = signed(shown), case.features.n
    if sizes < 1 or not 0 < most < 1:
        raise OptionError("option.value", f"sizes={sizes}, most={most!r}", "sizes from 1, most between 0 and 1",
                          "leave them out for the usual ones")
    top = max(1, round(most * n))
    counts = sorted({round(top ** (k / max(1, sizes - 1))) for k in range(sizes)})
    asked = await together(*(dropped(case, values, count, samples) for count in counts))
    curve, errors, left = list[tuple[float, float]](), list[float](), list[int]()
    last: OptionError | None = None
    for count, found in zip(counts, asked, strict=True):
        try:
            value, error = correlated(pearson, *found)
        except OptionError as none:
            left.append(count)
            last = none
        else:
            curve.append((count / n, value))
            errors.append(error)
    if not curve and last is not None:
        raise last
    mean, error = sum(y for _, y in curve) / len(curve), math.hypot(*errors) / len(errors)
    return Measured(mean, error, tuple(curve), ("removed", "correlation"), ("sizes.left_out",) if left else (),
                    {"sizes": [c for c in counts if c not in left], "left_out": left})


async def pushed(
    case: Case, shown: Attribution, perturbation: str, samples: int, size: float, spread: float
) -> tuple[Tensor, Tensor, bool]:
    """I · φ, the score's drop, and whether that is all there is, for perturbations of either kind."""
    values = signed(shown)
    if perturbation == "subsets":
        return await dropped(case, values, counted(size, case.features.n), samples)
    if perturbation != "noise" or samples < 4 or not spread > 0:
        raise OptionError("option.value", f"perturbation={perturbation!r}, samples={samples}, spread={spread!r}",
                          "subsets or noise, 4 samples or more, a spread above 0", "leave them out for the usual ones")
    shaken = Shaken(case.features.n, samples, spread, case.seed)
    here, moved = await together(case.score(case.here), case.score(shaken))
    return shaken.totals(values, case.x), _drops(here, moved), False


@metric(
    kind="faithfulness", asks="score", better="low", paper="arXiv:1901.09392",
    formula="E_I (I · φ − (f(x) − f(x − I)))²", cost="samples + 1 rows, shared with faithfulness_correlation",
    use="do the values say in units of the score how much it changes?",
    avoid="values in another unit than the score's, such as maps at a layer: see normalised_infidelity",
)
async def infidelity(
    case: Case, shown: Attribution, *, perturbation: str = "subsets", samples: int = SAMPLES, size: float = SIZE,
    spread: float = 0.05,
) -> Measured:
    """How far the values are from the score's change under random perturbations: the mean square, in score².

    E (I · φ - (f(x) - f(x - I)))² over `samples` draws of I. Values must be told in the perturbation's own unit:

    - `perturbation="subsets"`, for effects measured from the baseline (integrated gradients, Shapley values,
      ablation): I switches a random subset of the features off, so that I · φ is the sum of its values. This is
      the paper's perturbation from a baseline with φ multiplied by x - b, where no division is needed. `size` is a
      share of the features, or a whole number of them.
    - `perturbation="noise"`, for gradients with their sign (`saliency` with absolute=False, also smoothed): I is
      normal with standard deviation `spread` · (max(x) - min(x)), one number for all elements of a feature, so
      that I · φ with the sum of a feature's gradients is the change to first order.

    A map over a layer's places has a unit of its own: `metric.unfit`, take normalised_infidelity. `details` tells the
    factor β that would fit the values best, far from 1 where they are in another unit. The error is that of the mean;
    where there are no more than `samples` subsets, each is taken once, and the number is exact. The paper leaves I
    open, and its authors' code and others take different ones. Raises `metric.unfit` for values without a sign.
    """
    if not shown.unit:
        raise OptionError("metric.unfit", "a map, whose values are on a scale of its own",
                          "values in units of the score", "take normalised_infidelity, which allows for any scale")
    told, drops, every = await pushed(case, shown, perturbation, samples, size, spread)
    off, scale = (told - drops).square(), float(told @ told)
    return Measured(float(off.mean()), 0.0 if every else float(off.std()) / math.sqrt(len(off)),
                    details={"beta": float(told @ drops) / scale} if scale else {})


@metric(
    kind="faithfulness", asks="score", better="low", paper="arXiv:1901.09392",
    formula="E_I (β I · φ − Δ)², Δ = f(x) − f(x − I), β = E(I · φ Δ) / E(I · φ)²",
    cost="samples + 1 rows, shared with infidelity",
    use="as infidelity for values whose scale means nothing: maps, and values of another unit",
    avoid="as a test of the values' size: any factor, even a negative one, is allowed for",
)
async def normalised_infidelity(
    case: Case, shown: Attribution, *, perturbation: str = "subsets", samples: int = SAMPLES, size: float = SIZE,
    spread: float = 0.05,
) -> Measured:
    """How far the values are from the score's change under random perturbations, scaled as is best for them.

    As infidelity with β φ in place of φ, β = E(I · φ Δ) / E(I · φ)²: the mean square that is left, in score².
    `details` tells β and the share of the mean square drop that is explained. Error by the jackknife. Raises
    `metric.degenerate` where I · φ is zero always, for no β fits then; a negative β says that the sign is wrong.
    """
    told, drops, every = await pushed(case, shown, perturbation, samples, size, spread)
    if not bool(told.any()):
        raise degenerate("values that sum to zero over every subset", "try another method, layer or target")
    n, norm = len(told), float(told @ told)
    beta, drop = float(told @ drops) / norm, float(drops @ drops)
    left = drops - beta * told
    # Left out one at a time: what is left falls by that one's share, its own pull on β taken into account. Sums of
    # squares are never subtracted from one another, so that an exact fit is exact.
    pull = (1 - told.square() / norm).clamp(min=1e-12)
    without = (left.square().sum() - left.square() / pull).clamp(min=0) / (n - 1)
    value = float(left.square().mean())
    share = {"explained": 1 - value * n / drop} if drop else {}
    return Measured(value, 0.0 if every else jackknife(without), details={"beta": beta, **share})


async def shaded(case: Case, shown: Attribution) -> tuple[float, float]:
    """f(x), and f where x shows through only as much as the values' size above zero: x · m + b · (1 - m)."""
    above = shown.values.clamp(min=0)
    low, high = float(above.min()), float(above.max())
    if high - low <= 1e-9 * high:
        raise degenerate("values that are the same everywhere, or nowhere above zero",
                         "there is nothing to show through; try another method, layer or target")
    share = ((above - low) / (high - low)).to(case.origin.dtype)
    here, seen = await together(case.score(case.here), case.score(case.keep(Chosen(share[None]))))
    return float(here), float(seen)


@metric(
    kind="faithfulness", asks="score", better="low", paper="arXiv:1710.11063",
    formula="max(0, f(x) − f(x · m + b · (1 − m))) / |f(x)|, m the values above zero, from 0 to 1", cost="2 rows",
    use="is what the map shows enough for the model to say the same?",
    avoid="scores around zero: it is a share of the score; values of very many features, of which few are large",
)
async def average_drop(case: Case, shown: Attribution) -> Measured:
    """The share of its score that the model loses when it sees x only through the map.

    m is max(φ, 0), moved and scaled to reach from 0 to 1; where it is 0 the baseline stands. The paper means it
    over a data set, in percent, of probabilities: this is one example's part, a share, of the target's score.
    Raises `metric.degenerate` for a map without differences above zero, and where f(x) is zero.
    """
    here, seen = await shaded(case, shown)
    if here == 0:
        raise degenerate("a score of zero", "its share has no meaning; choose another target")
    return Measured(max(0.0, here - seen) / abs(here))


@metric(
    kind="faithfulness", asks="score", better="", paper="arXiv:1710.11063",
    formula="1 where f(x · m + b · (1 − m)) > f(x), else 0", cost="2 rows",
    use="over many examples: how often the model is surer of what the map shows than of all",
    avoid="a single example by itself: it is yes or no",
)
async def average_increase(case: Case, shown: Attribution) -> Measured:
    """Whether the model's score is higher where it sees x only through the map: 1 or 0.

    As average_drop. The paper means it over a data set, in percent, and more is better; this is one example's part,
    of which neither end says much.
    """
    here, seen = await shaded(case, shown)
    return Measured(float(seen > here))
