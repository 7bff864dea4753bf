"""Sanity: does the explanation change when what the model learnt is taken away?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from torch import Tensor

from pellucid.changes.checkpoint import Checkpoint
from pellucid.changes.shuffle import Shuffled
from pellucid.numbers.ranking import elsewhere
from pellucid.numbers.similarity import cosine, rank, ssim
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError, PellucidError
from pellucid.words.features import Features
from pellucid.words.method import AUTO
from pellucid.words.metric import Attribution, Measured, metric

ORDERS = ("cascading", "bottom_up", "independent")
SIMILARITIES = ("rank", "cosine", "ssim")

SAME = 0.9
"""From here on two explanations are taken as the same."""

ELSEWHERE = 20
"""Places at which the values are compared with themselves: how alike maps are that have nothing in common."""


def alike(a: Tensor, b: Tensor, features: Features, by: str, absolute: bool) -> float | None:
    """How alike two attributions are, up to 1; None where one of them has nothing to compare."""
    a, b = (a.abs(), b.abs()) if absolute else (a, b)
    if by == "ssim":
        return ssim(_picture(a, features), _picture(b, features))
    return rank(a, b) if by == "rank" else cosine(a, b)


def _picture(values: Tensor, features: Features) -> Tensor:
    """Values as they lie over a picture: each cell of a grid once, segments over their pixels."""
    if len(features.shape) == 2 and features.index.dim() == 2:
        return values.reshape(features.shape)
    if features.index.dim() == 2:
        return features.paint(values)
    raise OptionError("metric.unfit", f"values over {features.name}", "values over a picture",
                      "take similarity='rank' or 'cosine'")


def _checked(case: Case, shown: Attribution, similarity: str, absolute: bool) -> float:
    """How alike the values and themselves at other places are; an error where nothing can be compared."""
    if similarity not in SIMILARITIES:
        raise OptionError("option.value", f"similarity={similarity!r}", " or ".join(map(repr, SIMILARITIES)),
                          "leave it out for 'rank'")
    if shown.again is None:
        raise OptionError("metric.again", "values without their method", "an explanation that can be made again",
                          "give the model and the input: evaluate(e, subject, x)")
    found = [alike(shown.values, elsewhere(shown.values, case.features.shape, case.seed, k), case.features, similarity,
                   absolute) for k in range(ELSEWHERE)]
    known = [f for f in found if f is not None]
    if not known:
        raise OptionError("metric.degenerate", "values that are all the same", "values that differ",
                          "a map without differences is like no other: try another method, layer or target")
    return sum(known) / len(known)


async def _tried(again: Callable[[Case], Awaitable[Tensor]], case: Case) -> Tensor | PellucidError:
    """The values in a changed model, or why there are none: it may say nothing that can be explained."""
    try:
        return await again(case)
    except PellucidError as error:
        return error


def _turns(order: str, layers: Any) -> list[tuple[str, tuple[str, ...]]]:
    """What is changed at each turn, under the name of the stage that is new; layers are in order of use."""
    if order not in ORDERS:
        raise OptionError("option.value", f"order={order!r}", " or ".join(map(repr, ORDERS)),
                          "leave it out for 'cascading'")
    if isinstance(layers, str):
        raise OptionError("option.value", f"layers={layers!r}", "stages of parameters, first used first",
                          "ask through evaluate(), which finds them")
    stages: list[tuple[str, ...]] = [tuple(stage) for stage in layers]
    if order == "cascading":
        stages.reverse()
    turns: list[tuple[str, tuple[str, ...]]] = []
    for k, stage in enumerate(stages):
        gone = stages[k : k + 1] if order == "independent" else stages[: k + 1]
        turns.append((_label(stage), tuple(n for part in gone for n in part)))
    return turns


def _label(stage: Sequence[str]) -> str:
    return stage[0] if len(stage) == 1 else f"{stage[0]} +{len(stage) - 1}"


@metric(
    kind="sanity", asks="again", better="low", paper="arXiv:1810.03292", control=False,
    formula="mean over k of similarity(φ of the model, φ of the model with k stages of parameters drawn by lot)",
    cost="an explanation for each stage (at most 20), for each of the replicates",
    use="does the explanation depend on what the model learnt?",
    avoid="as a sign of truth: what changes with the weights may be wrong all the same",
)
async def randomisation(
    case: Case, shown: Attribution, *, order: str = "cascading", similarity: str = "rank", absolute: bool = False,
    layers: Any = AUTO, reached: Any = AUTO,
) -> Measured:
    """How alike the explanation stays while the model's parameters are drawn by lot, stage after stage.

    `order` is `cascading` (from the output to the input, those changed before stay so), `bottom_up` (from the input)
    or `independent` (each stage alone). `similarity` is `rank` (Spearman), `cosine` or `ssim` (pictures only), of
    the values, or of their sizes with `absolute`. `layers` are the stages, first used first, each a module or
    parameter or several; all parameters of the model in order of use if left out, whoever holds them: attention's
    in-projections, class tokens and position embeddings too. `reached` is told, not given: the share of all
    parameters in them. The same target is explained at every stage. Draws are told on `Shuffled`.

    The number is the mean over the stages; the model as it is, with a similarity of 1, is no stage. Stages at which
    there is nothing to compare are left out, which `details` tells. `details` also holds the similarity by stage and
    what it is for the values at other places (`unrelated`): no less can be asked for. Says `randomisation.same` where
    the explanation of the last stage is like that of the model (0.9 and more). The paper starts anew from the
    initialisation; its stages are a network's blocks.
    """
    unrelated = _checked(case, shown, similarity, absolute)
    turns, again = _turns(order, layers), shown.again
    assert again is not None
    await case.score(case.here)  # a target that is still open is settled by the model as it is
    answers = await together(*(_tried(again, case.under(Shuffled(names, case.seed))) for _, names in turns))
    curve, labels, left = list[tuple[float, float]](), list[str](), list[str]()
    for k, ((label, _), answer) in enumerate(zip(turns, answers, strict=True)):
        found = None if isinstance(answer, PellucidError) else alike(
            shown.values, answer, case.features, similarity, absolute)
        if found is None:
            left.append(label)
        else:
            curve.append(((k + 1) / len(turns), found))
            labels.append(label)
    if not curve:
        last = next((a for a in answers if isinstance(a, PellucidError)), None)
        raise OptionError("metric.degenerate", "no stage at which there is an explanation to compare"
                          + ("" if last is None else f" ({last.code})"), "an explanation of the changed model",
                          "try another method or target, or order='independent'")
    mean = sum(y for _, y in curve) / len(curve)
    same = curve[-1][1] if order != "independent" else mean
    return Measured(mean, None, tuple(curve), ("randomised", "similarity"),
                    ("randomisation.same",) if same >= SAME else (),
                    {"stages": labels, "last": curve[-1][1], "unrelated": unrelated, "reached": reached,
                     "left_out": left})


@metric(
    kind="sanity", asks="again", better="low", paper="arXiv:1810.03292", control=False, needs=("other",),
    formula="similarity(φ of the model, φ of the same network fitted to labels drawn by lot)",
    cost="one explanation",
    use="does the explanation depend on what there was to learn?",
    avoid="a twin that did not learn its labels by heart: then it says no more than randomisation",
)
async def random_labels(
    case: Case, shown: Attribution, *, other: Any = None, similarity: str = "rank", absolute: bool = False
) -> Measured:
    """How alike the explanation is for the same network, trained on labels that mean nothing.

    `other` is that network: a state dict, a file of weights, a module or Subject of the same architecture, or a name
    such as `demo:digits-random`. `similarity` and `absolute` are as in randomisation, and so is `unrelated` in
    `details`. The same target is explained. Says `random_labels.same` from 0.9 on. Raises `metric.other` where there
    is no other network, `weights.mismatch` where it does not fit. The paper compares over a data set.
    """
    unrelated = _checked(case, shown, similarity, absolute)
    again = shown.again
    if not isinstance(other, Checkpoint) or again is None:
        raise OptionError("metric.other", "no other network", "one of the same architecture, trained on random labels",
                          "give other=, a state dict, a file, a module or for example 'demo:digits-random'")
    await case.score(case.here)
    there = await again(case.under(other))
    found = alike(shown.values, there, case.features, similarity, absolute)
    if found is None:
        raise OptionError("metric.degenerate", "values of the other network that are all the same",
                          "values that differ", "try another method, layer or target")
    return Measured(found, 0.0, notes=("random_labels.same",) if found >= SAME else (),
                    details={"unrelated": unrelated, "other": other.label})
