"""Every method of the catalogue, alone and composed, keeps the laws it declares and the five universal ones."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pellucid import catalog
from pellucid.methods.compose import SHARED
from pellucid.numbers.quadrature import between, gauss_legendre, trapezoid
from pellucid.testing.laws import UNIVERSAL, law
from pellucid.testing.toys import Toy, toy
from pellucid.testing.universal import GROWS, able, asked
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.features import Features, patches, pixels, segments, units
from pellucid.words.method import Method
from pellucid.words.points import Chosen, Keep, LeaveOneOut, Line, Windows

METHODS = catalog.methods()

COMPOSED = [
    *(f"{outer}({inner})" for outer in catalog.compositions()
      for inner in ("saliency", "integrated_gradients", "kernel_shap", "ablation")),
    "smooth(inside(input_x_gradient))", "contrast(smooth(saliency))", "averaged(inside(integrated_gradients))",
    "smooth(grad_cam)", "contrast(grad_cam)",
]
"""Compositions; new methods and new compositions of the catalogue are composed with each other below."""

NOT_SIZES = {"limit", "window", "grid", "query", "cells", "select", "unit", "anchors"}
"""Whole numbers among the options that do not say how many points there are."""


def composed() -> list[Method]:
    """The compositions that make sense; two methods that share an option refuse each other by name."""
    made: list[Method] = []
    for name in COMPOSED:
        inner = name.rpartition("(")[2].rstrip(")")
        if name.startswith("averaged(") and not METHODS[inner].card.baseline:  # nothing to average over
            continue
        with suppress(OptionError):
            made.append(catalog.find(name))
    return made


OWN = {outer: set(made(METHODS["ablation"]).defaults) for outer, made in catalog.compositions().items()}
"""The options that a composition brings; ablation has none of its own."""

ALL = [*METHODS.values(), *composed()]


def toys_for(method: Method) -> list[str]:
    """A vector, ids and two kinds of pictures for methods; for compositions the smallest that will do."""
    known = able(method)
    if method.name in METHODS:
        return known
    if len(known) < 4:
        return [t for t in known if t == "cnn"]
    return ["gelu_mlp", *["cnn"] * method.name.startswith("inside(")]


def coarsely(method: Method, on: Toy) -> dict[str, str]:
    """Sixteen patches are as good as 144 pixels to a law; what grows with them is measured by FLAT itself."""
    own = method.card.gives == "map" or method.name.startswith("inside(") or not on.picture
    size = next((s for most, s in ((16, 6), (100, 4)) if (method.card.most or most) < most), 3)
    return {} if own or method.card.asks != "score" else {"features": f"patches:{size}"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Toys are so small that a second thread only gets in the way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("method", "name"), [(m, w.name) for m in ALL for w in m.card.laws],
                         ids=lambda v: v.name if isinstance(v, Method) else v)
def test_declared(method: Method, name: str) -> None:
    law(name).check(method)


def chosen() -> list[tuple[Method, str, str]]:
    """Methods, toys and universal laws: all of them where PELLUCID_FULL is set (`make laws`), else a sample.

    In the sample every method meets every law on one toy, another for each law; a composition meets one law.
    """
    if os.environ.get("PELLUCID_FULL"):
        return [(m, t, n) for m in ALL for t in toys_for(m) for n in UNIVERSAL]
    found: list[tuple[Method, str, str]] = []
    for method in ALL:
        toys, whole = toys_for(method), method.name in METHODS
        mark = zlib.crc32(method.name.encode())
        laws = UNIVERSAL if whole else UNIVERSAL[mark % len(UNIVERSAL) :][:1]
        found += [(method, toys[(mark + k) % len(toys)], n) for k, n in enumerate(laws)]
    return found


@pytest.mark.parametrize(("method", "on", "name"), chosen(), ids=lambda v: v.name if isinstance(v, Method) else v)
def test_universal(method: Method, on: str, name: str) -> None:
    where = toy(on)
    law(name).check(method, {} if name == "FLAT" else coarsely(method, where), where)


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
@pytest.mark.parametrize("outer", catalog.compositions())
def test_every_composition_answers_or_refuses_by_name(outer: str, method: Method) -> None:
    on = toy(next(t for t in ("cnn", "vit") if t in toys_for(method)))
    if set(method.defaults) & set(OWN[outer]) - SHARED or (outer == "inside" and method.card.gives == "map"):
        with pytest.raises(OptionError, match=r"method\.(options_clash|inside)"):
            catalog.find(f"{outer}({method.name})")
        return
    made = catalog.find(f"{outer}({method.name})")
    small = {k: 4 for k in ("samples", "steps") if k in made.defaults}
    assert torch.isfinite(asked(made, small, on, on.x).values).all()


def test_inside_and_averaged_may_change_places() -> None:
    on = toy("gelu_mlp")
    one = asked(catalog.find("averaged(inside(integrated_gradients))"), {"steps": 16}, on, on.x)
    other = asked(catalog.find("inside(averaged(integrated_gradients))"), {"steps": 16}, on, on.x)
    assert torch.allclose(one.values, other.values, atol=1e-5)


def test_whole_number_options_are_known_to_the_memory_law() -> None:
    for method in METHODS.values():
        for name, default in method.defaults.items():
            counts = type(default) is int or "int" in str(method.annotations.get(name, ""))
            assert not counts or name in {*GROWS, *NOT_SIZES}, (
                f"{method.name} has {name}=: say in pellucid.testing.universal.GROWS how it grows, or here not")


def test_integrated_gradients_to_a_tolerance_is_complete_on_kinks() -> None:
    on = toy("cnn")
    e = asked(catalog.find("integrated_gradients"), {"tolerance": 0.01, "limit": 2049}, on, on.x)
    assert e.residual is not None
    assert abs(e.residual) <= 0.02 * max(abs(e.score - (e.baseline_score or 0.0)), float(e.values.norm()))


# --- words: gather and spread, points at any cut, folds at any chunk

layouts = st.one_of(
    st.builds(lambda h, w: units((2, h, w)), st.integers(1, 5), st.integers(1, 5)),
    st.builds(pixels, st.integers(1, 7), st.integers(1, 7)),
    st.integers(1, 7).flatmap(lambda h: st.integers(1, h).map(lambda size: patches(h, h, size))),
    st.lists(st.integers(-1, 4), min_size=6, max_size=6).filter(lambda v: max(v) >= 0).map(
        lambda v: segments(torch.tensor(v).reshape(2, 3))),
)


def positions(layout: Features) -> tuple[int, ...]:
    return tuple(layout.index.shape)


@given(layouts, st.integers(0, 2**16))
@settings(max_examples=60, deadline=None)
def test_gather_undoes_spread_and_keeps_sums(layout: Features, seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    values = torch.randn(layout.n, generator=draws, dtype=torch.float64)
    shape = positions(layout)
    assert torch.allclose(layout.gather(layout.spread(values), len(shape)), values)
    x = torch.randn(3, *shape, generator=draws, dtype=torch.float64) if layout.name != "units" else torch.randn(
        shape, generator=draws, dtype=torch.float64)
    movable = x * layout.movable(x.dim())
    assert torch.allclose(layout.gather(x).sum(), movable.sum())


@given(st.integers(0, 2**16), st.lists(st.integers(1, 11), max_size=4), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_points_are_the_same_rows_wherever_they_are_cut(seed: int, cuts: list[int], which: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    x, baseline = torch.randn(2, 3, 4, generator=draws), torch.randn(2, 3, 4, generator=draws)
    layout = pixels(3, 4, axes=(0, 1))
    points = (Line(tuple(torch.rand(12, generator=draws).tolist())), Keep(LeaveOneOut(12)),
              Keep(Windows((3, 4), (1, 2), (1, 1))), Keep(Chosen(torch.rand(12, 12, generator=draws) > 0.5)))[which]
    places = sorted({0, points.n, *(c for c in cuts if c < points.n)})
    pieces = [points.rows(x, baseline, layout, a, b) for a, b in pairwise(places)]
    assert torch.equal(torch.cat(pieces, 1), points.rows(x, baseline, layout, 0, points.n))


@given(st.integers(0, 2**16), st.lists(st.integers(1, 63), max_size=4))
@settings(max_examples=30, deadline=None)
def test_random_coalitions_are_the_same_wherever_they_are_cut(seed: int, cuts: list[int]) -> None:
    from pellucid.numbers.coalitions import Pairs
    from pellucid.words.masks import Every, Paired

    layout = units((7,))
    numbered, numberless = (Pairs(n, seed, ()).grown(60)[0] for n in (7, 90))
    for masks in (Paired(numbered, 20, 64), Paired(numberless, 20, 64), Every(7, 3, 64)):
        places = sorted({0, 64, *cuts})
        pieces = [masks.block(layout, a, b) for a, b in pairwise(places)]
        assert torch.equal(torch.cat(pieces), masks.block(layout, 0, 64))


@given(st.integers(1, 40), st.integers(2, 12), st.integers(0, 2**16))
@settings(max_examples=15, deadline=None)
def test_folded_gradients_are_the_weighted_sum_at_any_chunk(chunk: int, n: int, seed: int) -> None:
    from pellucid.testing.saboteurs import plain

    draws = torch.Generator().manual_seed(seed)
    weights, t = torch.randn(2, n, generator=draws, dtype=torch.float64), torch.rand(n, generator=draws)
    on = toy("quadratic")

    async def folded(case: Case) -> Tensor:
        return (await case.gradient(case.line(t), weights=weights)).sum(0)

    async def unfolded(case: Case) -> Tensor:
        return (weights.to(case.x) @ (await case.gradient(case.line(t)))).sum(0)

    found = [asked(plain(m), {}, on, on.x, chunk=c).values for m in (folded, unfolded) for c in (chunk, None)]
    for other in found[1:]:
        assert torch.allclose(found[0], other, rtol=1e-5, atol=1e-5)


@given(st.integers(2, 9))
@settings(max_examples=8, deadline=None)
def test_quadrature_rules_integrate_one_to_one_and_nest(n: int) -> None:
    for _, weights in (gauss_legendre(n), trapezoid(n)):
        assert float(weights.sum()) == pytest.approx(1, abs=1e-12)
    nodes, weights = trapezoid(2 * n - 1)
    middle, half = between(n)
    assert torch.allclose(torch.cat([trapezoid(n)[0], middle]).sort().values, nodes)
    assert torch.allclose(weights[1::2], half[0])
