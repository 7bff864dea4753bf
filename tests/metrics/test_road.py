"""ROAD: in-painting against the equations solved one by one and the authors' own code, ties, and the curve by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scored import F64, measured
from torch import Tensor, nn

import pellucid
from pellucid.numbers.inpainting import inpainted
from pellucid.numbers.ranking import lots
from pellucid.words.errors import OptionError
from pellucid.words.features import Features, patches, pixels
from pellucid.words.imputed import Imputed
from pellucid.words.masks import Ranked
from pellucid.words.points import Chosen


def slow(x: Tensor, known: Tensor) -> Tensor:
    """Every missing place is the mean of its neighbours in the picture, 1/6 beside and 1/12 across: dense equations."""
    height, width = known.shape
    gone: list[tuple[int, int]] = [(i, j) for i, j in (~known).nonzero().tolist()]
    number = {place: k for k, place in enumerate(gone)}
    a, b = torch.zeros(len(gone), len(gone), dtype=F64), torch.zeros(len(gone), len(x), dtype=F64)
    for (i, j), k in number.items():
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                there = i + down, j + across
                if (down, across) == (0, 0) or not (0 <= there[0] < height and 0 <= there[1] < width):
                    continue
                weight = 1 / 12 if down and across else 1 / 6
                a[k, k] += weight
                if there in number:
                    a[k, number[there]] -= weight
                else:
                    b[k] += weight * x[:, there[0], there[1]]
    found, solved = x.clone(), torch.linalg.solve(a, b)
    for (i, j), k in number.items():
        found[:, i, j] = solved[k]
    return found


def scattered(height: int, width: int, share: float, seed: int = 0) -> Tensor:
    known = torch.rand(height, width, generator=lots(seed)) > share
    known[0, 0] = True
    return known


def hole(height: int, width: int) -> Tensor:
    """One hole that touches an edge, with an island in it."""
    known = torch.ones(height, width, dtype=torch.bool)
    known[2:-1, 3:] = False
    known[height // 2, width // 2] = True
    return known


KINDS = {"few": scattered(9, 12, 0.2), "half": scattered(16, 16, 0.5), "most": scattered(28, 20, 0.95),
         "hole": hole(30, 21), "a line": scattered(1, 14, 0.6), "two lines": scattered(2, 9, 0.7),
         "all but one": scattered(12, 12, 1.0)}


# --- the in-painting

@pytest.mark.parametrize("kind", list(KINDS))
def test_what_is_missing_solves_the_equations(kind: str) -> None:
    known = KINDS[kind]
    x = torch.randn(3, *known.shape, generator=lots(1), dtype=F64)
    right = slow(x, known)
    torch.testing.assert_close(inpainted(x[None], known[None, None])[0], right, rtol=0, atol=1e-8)
    torch.testing.assert_close(inpainted(x[None].float(), known[None, None])[0].double(), right, rtol=0, atol=1e-4)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # numpy's, of the peer
@pytest.mark.parametrize("kind", ["few", "half", "most", "hole"])
def test_what_is_missing_is_the_authors_own(kind: str, vision: bool) -> None:
    """The code that was published with the paper, as grad-cam holds it, without its noise."""
    pytest.importorskip("scipy")
    peer = pytest.importorskip("pytorch_grad_cam.metrics.road")
    known = KINDS[kind]
    x = torch.randn(3, *known.shape, generator=lots(2), dtype=F64)
    theirs = peer.NoisyLinearImputer(noise=0.0)(x.float(), known.float())
    torch.testing.assert_close(inpainted(x.float().double()[None], known[None, None])[0], theirs.double(),
                               rtol=1e-6, atol=1e-6)


def test_weights_that_are_not_the_papers_are_seen() -> None:
    """The check above can fail: the plain mean of eight neighbours is another picture."""
    known = KINDS["hole"]
    x = torch.randn(1, *known.shape, generator=lots(1), dtype=F64)
    from pellucid.numbers import inpainting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inpainting, "BESIDE", 1 / 8)
        patch.setattr(inpainting, "DIAGONAL", 1 / 8)
        other = inpainted(x[None], known[None, None])[0]
    assert float((other - slow(x, known)).abs().max()) > 1e-2


def test_each_picture_is_solved_as_if_it_were_alone() -> None:
    known = torch.stack([scattered(24, 24, s, k) for k, s in enumerate((0.1, 0.5, 0.97))])[:, None]
    known = torch.cat([known, hole(24, 24)[None, None]])
    x = torch.randn(4, 2, 24, 24, generator=lots(3), dtype=F64)
    for k, one in enumerate(inpainted(x, known)):
        torch.testing.assert_close(inpainted(x[k : k + 1], known[k : k + 1])[0], one, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_an_even_picture_is_filled_in_as_it_was_and_an_open_sky_as_a_slope(dtype: torch.dtype) -> None:
    known = KINDS["hole"]
    even = torch.full((1, 1, *known.shape), 0.3, dtype=dtype)
    assert torch.equal(inpainted(even, known[None, None]), even)
    slope = torch.arange(12.0, dtype=dtype).expand(1, 1, 10, 12)
    inner = torch.ones(10, 12, dtype=torch.bool)
    inner[2:8, 3:9] = False
    torch.testing.assert_close(inpainted(slope, inner[None, None]), slope, rtol=0, atol=1e-4 if dtype != F64 else 1e-8)


# --- the rows that are asked about

def test_rows_come_in_any_cut_with_noise_only_where_something_is_gone() -> None:
    x, place = torch.randn(2, 3, 12, 10, generator=lots(1)), pixels(12, 10)
    order = torch.randperm(120, generator=lots(2))
    points = Imputed(Ranked(order, (12, 60, 100), kept=False), 0.01, 5)
    rows = points.rows(x, x, place, 0, 3)
    quiet = Imputed(Ranked(order, (12, 60, 100), kept=False), 0.0, 5).rows(x, x, place, 0, 3)
    parts = [points.rows(x, x, place, a, b, torch.empty(2, b - a, 3, 12, 10)) for a, b in ((0, 1), (1, 3))]
    torch.testing.assert_close(torch.cat(parts, 1), rows, rtol=0, atol=1e-5)
    gone = torch.stack([(order < k).reshape(12, 10) for k in (12, 60, 100)])[None, :, None].expand_as(rows)
    noise = rows - quiet
    assert not bool(noise[~gone].any())
    assert torch.equal(rows[~gone], x[:, None].expand_as(rows)[~gone])
    assert float(noise[gone].std()) == pytest.approx(0.01, rel=0.05)
    assert not torch.equal(noise, Imputed(Ranked(order, (12, 60, 100), kept=False), 0.01, 6).rows(x, x, place, 0, 3)
                           - quiet)


def test_patches_go_as_a_whole_channels_may_come_last_and_what_is_never_switched_off_stays() -> None:
    x = torch.randn(1, 3, 8, 8, generator=lots(1), dtype=F64)
    masks = Chosen(torch.tensor([[False, True, True, True]]))
    (row,) = Imputed(masks, 0.0, 0).rows(x, x, patches(8, 8, 4), 0, 1)[0]
    known = torch.ones(8, 8, dtype=torch.bool)
    known[:4, :4] = False
    torch.testing.assert_close(row, slow(x[0], known), rtol=0, atol=1e-8)
    last = Features(patches(8, 8, 4).index, (0, 1), (2, 2), "image", "patches:4")
    (turned,) = Imputed(masks, 0.0, 0).rows(x.permute(0, 2, 3, 1), x, last, 0, 1)[0]
    torch.testing.assert_close(turned.permute(2, 0, 1), row, rtol=0, atol=1e-12)
    index = patches(8, 8, 4).index.clone()
    index[0, 0], known[0, 0] = -1, True
    (held,) = Imputed(masks, 0.0, 0).rows(x, x, Features(index, (-2, -1), (2, 2), "image"), 0, 1)[0]
    torch.testing.assert_close(held, slow(x[0], known), rtol=0, atol=1e-8)


def test_of_a_sparse_map_no_more_is_taken_out_than_was_asked_for() -> None:
    """A map after a ReLU, nine tenths of it zero: a threshold at its percentile would take out everything."""
    values = torch.zeros(100, dtype=F64)
    values[torch.randperm(100, generator=lots(1))[:8]] = torch.rand(8, generator=lots(2), dtype=F64)
    x, seen = torch.randn(1, 10, 10, generator=lots(3), dtype=F64), list[int]()

    def score(rows: Tensor) -> Tensor:
        seen.extend((rows != x).flatten(1).sum(1).tolist())
        return rows.flatten(1).sum(1)

    found = measured("road", score, values, x=x, features=pixels(10, 10))
    assert seen == [10, 20, 30, 40, 50, 60, 70, 80, 90] * 2
    assert found.error is None, "the order of the zeros was drawn"


# --- the number

def corner(rows: Tensor) -> Tensor:
    """A score that looks at one corner of the picture only, and not at its mean: a chequered pattern."""
    sign = torch.tensor([[1.0, -1], [-1, 1]], dtype=rows.dtype).repeat(2, 2)
    return (rows[..., :4, :4] * sign).flatten(1).sum(1)


def chequered() -> Tensor:
    x = torch.randn(1, 8, 8, generator=lots(4), dtype=F64) * 0.1
    x[:, :4, :4] += torch.tensor([[1.0, -1], [-1, 1]], dtype=F64).repeat(2, 2)
    return x


def test_the_curve_by_hand_without_noise() -> None:
    x, values = chequered(), torch.randperm(64, generator=lots(1)).double()
    found = measured("road", corner, values, x=x, features=pixels(8, 8), noise=0.0, shares=(0.25, 0.5))
    half: list[float] = []
    for k in (16, 32):
        highest, lowest = ((values < 64 - k).reshape(8, 8), (values >= k).reshape(8, 8))
        morf, lerf = (corner(slow(x, known)[None]) for known in (highest, lowest))
        half.append(float((lerf - morf) / 2))
    assert [y for _, y in found.curve] == pytest.approx(half, abs=1e-7)
    assert [share for share, _ in found.curve] == [0.25, 0.5]
    assert found.value == pytest.approx(sum(half) / 2, abs=1e-7)
    assert (found.details["lerf"] - found.details["morf"]) / 2 == pytest.approx(found.value)
    assert found.error == 0


def test_what_matters_named_first_is_better_than_last_or_by_lot() -> None:
    right = torch.zeros(8, 8, dtype=F64)
    right[:4, :4] = 1
    how: dict[str, Any] = {"x": chequered(), "features": pixels(8, 8)}
    good, bad, lot = (measured("road", corner, v, **how).value for v in (
        right, -right, torch.rand(64, generator=lots(1), dtype=F64)))
    assert good > 2
    assert bad < -2
    assert abs(lot) < 2


def test_in_an_evaluation_it_has_an_interval_and_tells_the_watermark_from_elsewhere() -> None:
    e = pellucid.explain(pellucid.load("demo:digits"), pellucid.samples("digits")[0])
    found = pellucid.evaluate(e, metrics="road", replicates=3)["road"]
    assert found.p == pytest.approx(1 / 21)
    low, high = found.interval or (0.0, 0.0)
    assert low < found.value < high
    assert found.control is not None
    assert found.value > found.control


def test_what_has_no_rows_and_columns_is_told_and_shares_are_checked() -> None:
    e = pellucid.explain(nn.Linear(4, 2), torch.ones(1, 4), "saliency", target=0)
    found = pellucid.evaluate(e, metrics=["road", "deletion"])
    assert found.unfit["road"].code == "metric.unfit"
    assert set(found) == {"deletion"}
    wrong: dict[str, Any]
    for wrong in ({"shares": ()}, {"shares": (0.5, 1.0)}, {"noise": -1.0}):
        with pytest.raises(OptionError, match=r"option\.value"):
            measured("road", corner, range(64), x=chequered(), features=pixels(8, 8), **wrong)
    one = measured("road", corner, range(64), x=chequered(), features=pixels(8, 8), shares=0.5)
    assert [share for share, _ in one.curve] == [0.5]
