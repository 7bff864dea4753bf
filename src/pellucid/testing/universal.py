"""The five laws that hold for every method, whatever it declares."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.catalog import find
from pellucid.explain import explain
from pellucid.models.subject import Subject
from pellucid.testing.faults import FailAt, LiveBytes
from pellucid.testing.pristine import pristine
from pellucid.testing.toys import Toy
from pellucid.words.change import Several
from pellucid.words.errors import PellucidError
from pellucid.words.explanation import Explanation
from pellucid.words.method import Method, Need

Options = Mapping[str, Any]

CLOSE = 1e-5
"""Relative agreement of results that came from passes of different sizes."""

KINKS = 3e-2
"""The same for gradients of networks with kinks: a rounding error may put a ReLU on its other side."""

ROUGH = 5e-2
"""The same in half precision."""

SLACK = 64 * 2**10
"""Bytes that the peak may grow beside a tenth: one number per sample, and masks of a round."""

GROWS: dict[str, tuple[Any, Any]] = {"steps": (16, 256), "samples": (64, 1024), "stride": (4, 1), "masks": (64, 1024),
                                    "n_steps": (16, 256)}
"""Options that ask for more points, with a small and a large value."""

TOLD = 36
"""Features that the usual layout makes of a toy's picture; methods that take fewer get four."""

SAMPLES = ("samples", "masks", "n_samples")
"""Options that say how many random draws there are."""


ABLE: dict[Need, tuple[str, ...]] = {
    Need.PLACES: ("cnn", "vit"), Need.ATTENTION: ("vit",), Need.GATES: ("relu_mlp", "cnn"), Need.BIASES: ("cnn",),
    Need.RULES: ("relu_mlp", "cnn", "vit"), Need.PICTURE: ("cnn",),
}
"""The toys that have what a method needs."""

UNMET = ("layer.no_places", "layer.no_attention", "method.unfit", "features.too_many", "layer.needed")
"""How a method refuses a model that lacks what its card needs, or an input with too many features for it."""


def able(method: Method) -> list[str]:
    """The toys on which a method can be asked: of a vector, ids and two kinds of pictures those that it needs."""
    some = [ABLE[need] for need in method.card.needs if need in ABLE]
    return [t for t in some[0] if all(t in other for other in some)] if some else ["gelu_mlp", "cnn", "vit", "lstm"]


def answered(method: Method, options: Options, toy: Toy, x: Any, **more: Any) -> Explanation | None:
    """As `asked`; None where the toy refuses all, or where it has not what the method needs."""
    try:
        return asked(method, options, toy, x, **more)
    except PellucidError as error:
        picky = method.card.needs or method.card.most is not None
        if error.code != toy.error and not (picky and error.code in UNMET):
            raise
        return None


def asked(method: Method, options: Options, toy: Toy, x: Any, subject: Subject | None = None, **more: Any) -> Any:
    """An explanation on a toy, with the options that a method cannot be asked without."""
    return explain(subject or toy.subject(), x, method, **{**given(method, options, toy), **more})


def given(method: Method, options: Options, toy: Toy) -> dict[str, Any]:
    """These options, and those that a method cannot be asked without on this toy."""
    needed = {"layer": toy.layer, "other": 1, "baselines": ["zero", 0.3] if toy.site is None else ["zero"],
              "change": Several(())}
    if Need.ATTENTION in method.card.needs and Need.SELF_ATTENTION not in method.card.needs:
        del needed["layer"]  # one with attention is chosen
    found = {k: v for k, v in needed.items() if k in method.defaults} | dict(options)
    if toy.picture and method.card.most is not None and method.card.most < TOLD:
        found.setdefault("features", "patches:6")
    return found


def alone(method: Method, options: Options, toy: Toy) -> None:
    """Three examples together, and together with another method, get what each gets alone."""
    xs, method = [toy.make(k) for k in range(3)], _brief(method)
    options, other = {**_light(method), **options}, _companion(method)
    for strict in (False, True):
        single = [asked(method, options, toy, x, strict=strict) for x in xs]
        together = asked(method, options, toy, xs, strict=strict)
        _agree("ALONE", method, toy, single, together, strict, "among other examples")
        own = {"layer", "other", "baselines", "change"} & set(method.defaults)
        if not options and not own:  # a call's methods share options
            beside = explain(toy.subject(), xs, [method, other], strict=strict)[method.name]
            _agree("ALONE", method, toy, single, beside, strict, "beside another method")


def chunk(method: Method, options: Options, toy: Toy) -> None:
    """However many rows go into a pass, the numbers are the same."""
    method = _brief(method)
    options = {**_light(method), **options}
    for strict in (False, True):
        whole = asked(method, options, toy, toy.x, strict=strict)
        for rows in (1, 2, 3, 7):
            cut = asked(method, options, toy, toy.x, strict=strict, chunk=rows)
            assert strict or cut.evidence.chunk <= rows, (
                f"[CHUNK] {method.name} on {toy.name}: {cut.evidence.chunk} rows in a pass where {rows} were allowed")
            _agree("CHUNK", method, toy, [whole], [cut], strict, f"with {rows} rows a pass")


def repeatable(method: Method, options: Options, toy: Toy) -> None:
    """The same seed gives the same bits, global random states stay, another seed gives other draws.

    Bits are promised where nothing was learnt in between, and in strict mode always. A subject that has
    been asked before knows how many rows fit: outside strict mode its sums may round differently.
    """
    method = _brief(method)
    sizes = {k: 8 for k in SAMPLES if k in method.defaults and k not in options}
    options, subject, before = {**options, **sizes}, toy.subject(), _random()
    first = asked(method, options, toy, toy.x, subject, seed=11)
    assert _random() == before, f"[REPEATABLE] {method.name} on {toy.name}: a global random state has moved"
    twice = [asked(method, options, toy, toy.x, subject, seed=11, strict=True) for _ in range(2)]
    for one, two in ((first, asked(method, options, toy, toy.x, seed=11)), twice):
        assert _same(one, two), (
            f"[REPEATABLE] {method.name} on {toy.name}: the same question with the same seed gave other numbers, "
            f"{_apart(one.values, two.values):.2e} apart")
    again = asked(method, options, toy, toy.x, subject, seed=11)
    _agree("REPEATABLE", method, toy, [first], [again], False, "asked again")
    if sizes:
        other = asked(method, options, toy, toy.x, subject, seed=12)
        assert not torch.equal(first.values, other.values), (
            f"[REPEATABLE] {method.name} on {toy.name}: another seed gave the same numbers: nothing is drawn from it")


def _least(method: Method) -> dict[str, Any]:
    """As little work as the method can do."""
    return {k: v for k, v in {**dict.fromkeys(SAMPLES, 8), "steps": 4}.items() if k in method.defaults}


def _brief(method: Method) -> Method:
    """The method with few steps as its default, where their number proves nothing."""
    few = {"limit": 33, "steps": 8}
    return replace(method, defaults={k: min(v, few[k]) if k in few and type(v) is int else v
                                     for k, v in method.defaults.items()})


def _light(method: Method) -> dict[str, Any]:
    """Fewer draws than usual, where their number proves nothing."""
    few = {**dict.fromkeys(SAMPLES, 10), "steps": 8} if "(" in method.name else dict.fromkeys(SAMPLES, 40)
    return {k: v for k, v in few.items() if k in method.defaults}


def untouched(method: Method, options: Options, toy: Toy) -> None:
    """Model, inputs, settings and random states are as they were: after success, an error and Ctrl-C."""
    options, x = {**_least(method), **options}, toy.x
    subject = toy.subject()
    counter = FailAt()
    try:
        with pristine(toy.model, x), counter:
            asked(method, options, toy, x, subject)
    except AssertionError as error:
        raise AssertionError(f"[UNTOUCHED] {method.name} on {toy.name}: after a run {error}") from error
    places = random.Random(f"{method.name} {toy.name}").sample(range(counter.operations), min(3, counter.operations))
    for at, kind in [(at, kind) for at in places for kind in (RuntimeError, KeyboardInterrupt)]:
        fault = FailAt(at, kind)
        try:
            with pristine(toy.model, x), suppress(kind, PellucidError), fault:
                asked(method, options, toy, x)
        except AssertionError as error:
            raise AssertionError(f"[UNTOUCHED] {method.name} on {toy.name}: after {kind.__name__} at operation {at} "
                                 f"{error}") from error


def flat(method: Method, options: Options, toy: Toy) -> None:
    """With a fixed number of rows a pass, more steps, samples or windows take no more memory."""
    for name in GROWS:
        if name in method.defaults:
            sizes = GROWS[name]
            if name in SAMPLES:  # what is repeated is a whole method, or a question of its own for every copy
                sizes = (16, 256) if "(" in method.name else (64, 256) if "spread" in method.defaults else sizes
            # With a tolerance some would not be asked for.
            still = {"tolerance": 0} if name in SAMPLES and "tolerance" in method.defaults else {}
            few, many = ({**_least(method), **still, **options, name: size} for size in sizes)
            if name == "stride":
                few, many = {"window": 4, **few}, {"window": 4, **many}
            # Where it does not take many features, sixteen of them let an order come twice within the samples.
            laid = {"features": "patches:3"} if toy.picture and method.card.most is not None else {}
            _flat(method, toy, name, few, many, laid, laid)
    if method.card.coarse and not set(GROWS) & set(method.defaults) and toy.picture:
        finest = "pixels" if method.card.most is None else "patches:4"
        _flat(method, toy, "features", options, options, {"features": "patches:6"}, {"features": finest})


def _flat(method: Method, toy: Toy, name: str, few: Options, many: Options, less: Options, more: Options) -> None:
    small, large = (_peak(method, toy, options, **extra) for options, extra in ((few, less), (many, more)))
    assert large <= 1.1 * small + SLACK, (
        f"[FLAT] {method.name} on {toy.name}: with more {name} the peak grows from {small:,} to {large:,} bytes "
        "at the same number of rows a pass")


def _peak(method: Method, toy: Toy, options: Options, **extra: Any) -> int:
    x = toy.x
    with LiveBytes() as live:
        asked(method, options, toy, x, chunk=4, target=0, **extra)
    return live.peak


def _companion(method: Method) -> Method:
    return find("input_x_gradient" if method.name == "saliency" else "saliency")


def _agree(law: str, method: Method, toy: Toy, expected: list[Explanation], found: list[Any], strict: bool, where: str
           ) -> None:
    for k, (a, b) in enumerate(zip(expected, found, strict=True)):
        if isinstance(b, PellucidError):
            raise AssertionError(f"[{law}] {method.name} on {toy.name}: example {k} {where} is refused: {b}")
        if strict:
            assert _same(a, b), (f"[{law}] {method.name} on {toy.name}: in strict mode example {k} {where} differs by "
                                 f"{_apart(a.values, b.values):.2e}; every bit should agree")
            continue
        allowed = ROUGH if toy.rough else KINKS if method.card.asks == "gradient" and not toy.smooth else CLOSE
        for what, one, two in (("values", a.values, b.values), ("score", _number(a.score), _number(b.score))):
            apart = _apart(one, two)
            assert apart <= (allowed if what == "values" else ROUGH if toy.rough else CLOSE), (
                f"[{law}] {method.name} on {toy.name}: the {what} of example {k} {where} differ by {apart:.2e} of "
                f"their largest; allowed is {allowed:.0e}")


def _number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def _apart(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape:
        return float("inf")
    scale = max(float(a.double().abs().max()), float(b.double().abs().max()), 1e-6)
    return float((a.double() - b.double()).abs().max()) / scale


def _same(a: Explanation, b: Explanation) -> bool:
    errors = a.error is b.error if a.error is None or b.error is None else torch.equal(a.error, b.error)
    return torch.equal(a.values, b.values) and errors and a.score == b.score


def _random() -> tuple[Any, ...]:
    return random.getstate(), pickle.dumps(np.random.get_state()), torch.get_rng_state().numpy().tobytes()


ALL: dict[str, tuple[str, Callable[[Method, Options, Toy], None]]] = {
    "ALONE": ("an example gets the same values alone and among others", alone),
    "CHUNK": ("how rows are cut into passes changes nothing", chunk),
    "REPEATABLE": ("a seed gives the same bits again, and global random states are left alone", repeatable),
    "UNTOUCHED": ("model, inputs, settings and random states are as they were, whatever happened", untouched),
    "FLAT": ("memory does not grow with steps, samples or windows", flat),
}
"""By name: what the law says, and its check."""
