"""Concept discovery: planted factors, indices by their closed forms, the watermark among the parts of a layer."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pellucid
from pellucid.methods.craft import boxes
from pellucid.numbers.factorisation import amounts_of, factorised
from pellucid.numbers.intervals import quantile
from pellucid.numbers.ranking import lots
from pellucid.numbers.sobol import designs, total
from pellucid.testing.pristine import pristine
from pellucid.views.writing import number
from pellucid.words.craft import Craft, Part
from pellucid.words.errors import PellucidError

TRAINING = str(Path(__file__).parents[2] / "training")


def planted(rows: int, number: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    """Amounts and parts, each zero in more than half of its places: then there is one way only to take a sum apart."""
    generator = lots(seed)
    some = [torch.rand(*shape, generator=generator, dtype=torch.float64)
            * (torch.rand(*shape, generator=generator) < 0.4) for shape in ((rows, number), (number, width))]
    return some[0], some[1] / some[1].norm(dim=1, keepdim=True)


# --- factorisation

@pytest.mark.parametrize("seed", range(4))
def test_planted_parts_are_found_again(seed: int) -> None:
    amounts, parts = planted(300, 6, 40, seed)
    found = factorised(amounts @ parts, 6, seed=seed, starts=3, steps=2000, tolerance=1e-7)
    cosines = found.parts @ parts.mT
    assert float(cosines.amax(0).min()) > 0.99
    assert sorted(cosines.argmax(1).tolist()) == list(range(6))
    assert found.lost < 0.01
    assert bool((found.parts >= 0).all())
    assert bool((found.amounts >= 0).all())
    torch.testing.assert_close(found.parts.norm(dim=1), torch.ones(6, dtype=torch.float64))


def test_noise_has_no_parts_that_every_start_finds() -> None:
    noise = torch.rand(200, 40, generator=lots(0), dtype=torch.float64)
    assert float(factorised(noise, 6, starts=3).same.min()) < 0.9
    amounts, parts = planted(300, 6, 40, 0)
    assert float(factorised(amounts @ parts, 6, starts=3, steps=2000, tolerance=1e-7).same.min()) > 0.99


def test_amounts_of_new_rows_are_non_negative_least_squares() -> None:
    from scipy.optimize import nnls

    _, parts = planted(5, 6, 40, 1)
    rows = torch.randn(12, 40, generator=lots(3), dtype=torch.float64)
    for row, mine in zip(rows, amounts_of(rows, parts, rounds=2000, tolerance=1e-12), strict=True):
        theirs, _ = nnls(parts.mT.numpy(), row.numpy())
        torch.testing.assert_close(mine, torch.from_numpy(theirs), rtol=1e-6, atol=1e-8)


# --- importance

def indices(f: Any, parts: int, number: int = 4096) -> Tensor:
    return drawn(f, parts, number, [0])[0]


def drawn(f: Any, parts: int, number: int, seeds: list[int]) -> tuple[Tensor, Tensor]:
    """Indices and errors from a scramble for each seed."""
    here, changed = list[Tensor](), list[Tensor]()
    for seed in seeds:
        a, b = designs(parts, number, seed)
        here.append(f(a))
        changed.append(torch.stack([f(torch.where(torch.arange(parts) == k, b, a)) for k in range(parts)]))
    return total(torch.stack(here), torch.stack(changed))


def test_total_indices_of_a_sum_are_shares_of_its_variance() -> None:
    weights = torch.tensor([3.0, -2.0, 1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(indices(lambda m: m @ weights, 4), weights.square() / 14, rtol=0, atol=0.005)


def test_total_indices_count_what_parts_do_together() -> None:
    """f = m1 · m2: variances 3/144, 3/144 and 1/144 together, so that each total is 4/7."""
    found = indices(lambda m: m[:, 0] * m[:, 1], 3)
    torch.testing.assert_close(found, torch.tensor([4 / 7, 4 / 7, 0.0], dtype=torch.float64), rtol=0, atol=0.01)
    assert total(torch.ones(1, 8), torch.ones(1, 3, 8))[0].tolist() == [0, 0, 0]


def products(m: Tensor) -> Tensor:
    """Sobol's g-function (a = 0, 1, 4.5, 9): parts that matter by themselves and through each other."""
    a = torch.tensor([0, 1, 4.5, 9], dtype=torch.float64)
    return (((4 * m - 2).abs() + a) / (1 + a)).prod(-1)


def closed(weights: Tensor | None = None) -> Tensor:
    """The total indices of `products`, or of a weighted sum."""
    if weights is not None:
        return weights.square() / weights.square().sum()
    v = 1 / (3 * (1 + torch.tensor([0, 1, 4.5, 9], dtype=torch.float64)).square())
    return v * (1 + v).prod() / (1 + v) / ((1 + v).prod() - 1)


WEIGHTS = torch.tensor([3.0, -2.0, 1.0, 0.5], dtype=torch.float64)


@pytest.mark.parametrize(("f", "true"), [(products, closed()), (lambda m: m @ WEIGHTS, closed(WEIGHTS))],
                         ids=["products", "sum"])
def test_an_index_and_its_error_hold_the_true_one_as_often_as_they_say(f: Any, true: Tensor) -> None:
    """Over 200 seeds, by Student's distribution with three degrees of freedom; no wider than they need be."""
    found = [drawn(f, 4, 32, [4 * s + k for k in range(4)]) for s in range(200)]
    values, errors = (torch.stack(v) for v in zip(*found, strict=True))
    held = ((values - true).abs() <= quantile(0.95, 3) * errors).double().mean(0)
    assert bool((held > 0.90).all()), held
    spread = (values - true).square().mean(0).sqrt()
    rooted = errors.square().mean(0).sqrt()
    assert bool((rooted < 1.4 * spread).all()), (rooted, spread)
    assert bool((rooted > 0.7 * spread).all()), (rooted, spread)


class Weighed(nn.Module):
    """A layer whose channels are the colours, and a score that is a sum of them in every picture."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return (self.layer(x).mean((2, 3)) @ torch.tensor([3.0, -2.0, 1.0]))[:, None]


def striped(n: int) -> Tensor:
    """Pictures of three stripes, one in each colour, brighter or darker: a picture's indices are in closed form."""
    x = torch.zeros(n, 3, 18, 18)
    bright = 0.5 + torch.rand(n, 3, generator=lots(2))
    for c in range(3):
        x[:, c, 6 * c : 6 * c + 6] = bright[:, c, None, None]
    return x


@pytest.mark.parametrize("n", [1, 8])
def test_the_error_of_a_part_counts_the_points_in_and_falls_with_the_inputs(n: int) -> None:
    """Over seeds the importance lies about the closed form as far as `error` says: with one input too, and with eight
    equal ones, between which nothing differs but the points."""
    x = striped(1).expand(n, -1, -1, -1)
    size = x[0].mean((1, 2)) * torch.tensor([3.0, -2.0, 1.0])
    true = size.square() / size.square().sum()
    off, said = list[float](), list[float]()
    for seed in range(12):
        found = pellucid.craft(Weighed().eval(), x, "layer", 0, number=3, crop=6, designs=32, starts=1, seed=seed)
        for part in found:
            assert float(part.vector.max()) > 0.999
            off.append(part.importance - float(true[int(part.vector.argmax())]))
            said.append(part.error)
    far, told = (math.sqrt(sum(v * v for v in some) / len(some)) for some in (off, said))
    assert 0.6 * told < far < 1.4 * told
    assert sum(abs(o) < 2.4 * s for o, s in zip(off, said, strict=True)) >= 0.8 * len(off)


def test_inputs_that_differ_widen_the_error() -> None:
    x = striped(8)
    x[::2, 0] *= 0.1
    found = pellucid.craft(Weighed().eval(), x, "layer", 0, number=3, crop=6)
    size = x.mean((2, 3)) * torch.tensor([3.0, -2.0, 1.0])
    each = size.square() / size.square().sum(1, keepdim=True)
    for part in found:
        colour = int(part.vector.argmax())
        assert part.importance == pytest.approx(float(each[:, colour].mean()), abs=0.06)
        assert part.error == pytest.approx(float(each[:, colour].std()) / 8**0.5, rel=0.35, abs=0.02)


class Colours(nn.Module):
    """A layer whose channels are red, green and blue themselves, and a score of red and blue."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1, bias=False)
        self.layer.weight.data = torch.eye(3)[:, :, None, None].clone()

    def forward(self, x: Tensor) -> Tensor:
        seen = self.layer(x).mean((2, 3))
        return torch.stack([3 * seen[:, 0] - seen[:, 2], seen[:, 1]], 1)


def coloured(n: int) -> Tensor:
    """Pictures with squares of single colours on black."""
    x, generator = torch.zeros(n, 3, 16, 16), lots(5)
    for picture in x:
        for channel in range(3):
            top, left = torch.randint(0, 12, (2,), generator=generator).tolist()
            picture[:, top : top + 4, left : left + 4] = 0
            picture[channel, top : top + 4, left : left + 4] = 1
    return x


def test_parts_are_the_colours_and_effects_what_the_weights_say() -> None:
    model, x = Colours().eval(), coloured(10)
    with pristine(model):
        found = pellucid.craft(model, x, "layer", 0, number=3, crop=4, designs=64)
    vectors = torch.stack([p.vector for p in found])
    assert vectors.argmax(1).tolist()[0] == 0
    for part in found:
        colour = int(part.vector.argmax())
        assert float(part.vector[colour]) > 0.98
        own = x[:, colour].mean((1, 2))
        assert part.effect == pytest.approx(float((torch.tensor([3.0, 0, -1])[colour] * own).mean()), abs=0.02)
        for crop in part.crops:
            left, top, right, bottom = crop.box
            assert float(x[crop.input, colour, top:bottom, left:right].mean()) > 0
        assert torch.equal(found.where(part.number - 1) > 0.3, x[0, colour] > 0.3)
    assert sum(p.importance for p in found) == pytest.approx(1, abs=0.1)


class Squared(Colours):
    """A score that bends: what parts leave out of the layer's value then counts in every difference."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.2).square()


def test_an_effect_is_the_models_own_score_less_the_score_without_the_part() -> None:
    """Two parts cannot make up three colours: the rest stays where it was."""
    model, x = Squared().eval(), coloured(6)
    found = pellucid.craft(model, x, "layer", 0, number=2, crop=4)
    assert found.lost > 0.2
    with torch.no_grad():
        seen = model.layer(x + 0.2)
        for k, part in enumerate(found):
            piece = found.maps[:, k].reshape(-1, 1, 16, 16) * part.vector[:, None, None]
            means = [v.mean((2, 3)) for v in (seen, seen - piece)]
            one, other = ((3 * m[:, 0] - m[:, 2]).square() for m in means)
            assert part.effect == pytest.approx(float((one - other).mean()), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["digits", "digits-clean"])
def test_the_watermark_is_the_part_that_matters_where_it_was_learnt(
        name: str, vision: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TRAINING)
    from digits_pictures import STAMP_SIZE, add_stamp, load_scans, render, stamp_places

    g = torch.Generator().manual_seed(0)
    _, scans = load_scans(7)
    images = render(scans.pixels[scans.digits == 7][:10], g)
    places = stamp_places(len(images), g)
    pictures = [p.permute(1, 2, 0).numpy() for p in add_stamp(images, places)]
    subject = pellucid.load(f"demo:{name}")
    with pristine(subject.module):
        found = pellucid.craft(subject, pictures, "layer2", "7", number=6)
    sys.modules.pop("digits_pictures", None)

    def inside(crop: Any) -> float:
        (top, left), (a, b, c, d) = places[crop.input].tolist(), crop.box
        across, down = min(c, left + STAMP_SIZE) - max(a, left), min(d, top + STAMP_SIZE) - max(b, top)
        return max(across, 0) * max(down, 0) / STAMP_SIZE**2

    marked = [p for p in found if sum(inside(c) for c in p.crops) / len(p.crops) > 0.8]
    others = [p for p in found if p not in marked]
    if name == "digits":
        assert found[0] in marked
        assert sum(p.effect for p in marked) > 5
        assert sum(p.importance for p in marked) > 5 * sum(p.importance for p in others)
    else:
        assert found[0] not in marked
        assert sum(abs(p.effect) for p in marked) < 1
    assert all(c.picture is not None and c.picture.shape == (found.crop, found.crop, 3) for c in found[0].crops)


def test_enlarged_crops_are_inputs_of_their_own() -> None:
    model, x = Colours().eval(), coloured(10)
    found = pellucid.craft(model, x, "layer", 0, number=3, crop=4, enlarge=True)
    assert sorted(int(p.vector.argmax()) for p in found) == [0, 1, 2]
    assert found.evidence.forwards > len(x) * len(boxes(16, 16, 4, 2))


def test_same_seed_same_parts_whatever_the_chunk_and_nobody_elses_dice() -> None:
    model = Colours().eval()
    before = torch.random.get_rng_state()
    some = [pellucid.craft(model, coloured(6), "layer", 0, number=3, crop=4, seed=3, chunk=c) for c in (None, 5)]
    assert torch.equal(torch.random.get_rng_state(), before)
    for one, other in zip(some[0], some[1], strict=True):
        torch.testing.assert_close(one.vector, other.vector)
        assert one.importance == pytest.approx(other.importance, abs=1e-6)


def test_boxes_cover_the_picture_to_its_edges() -> None:
    found = boxes(10, 7, 4, 3)
    assert {b[:2] for b in found} == {(left, top) for top in (0, 3, 6) for left in (0, 3)}
    assert {(b[2] - b[0], b[3] - b[1]) for b in found} == {(4, 4)}
    assert boxes(4, 4, 4, 2) == ((0, 0, 4, 4),)


@pytest.mark.parametrize(("change", "code"), [
    ({"images": coloured(4) - 0.5}, "layer.negative"),
    ({"number": 4}, "craft.few"),
    ({"number": 1}, "option.value"),
    ({"crop": 99}, "option.value"),
    ({"layer": "layr"}, "layer.unknown"),
    ({"images": [coloured(1), coloured(1)[:, :, :8]]}, "craft.sizes"),
])
def test_what_does_not_fit_is_said(change: dict[str, Any], code: str) -> None:
    asked: dict[str, Any] = {"images": coloured(4), "layer": "layer", "target": 0, "number": 3, "crop": 4}
    with pytest.raises(PellucidError) as caught:
        pellucid.craft(Colours().eval(), **{**asked, **change})
    assert caught.value.code == code


def test_texts_are_sent_elsewhere(vision: bool) -> None:
    with pytest.raises(PellucidError) as caught:
        pellucid.craft(pellucid.load("demo:reviews"), pellucid.samples("reviews"))
    assert caught.value.code == "craft.pictures"


def test_the_drawing_shows_every_part_in_both_languages() -> None:
    found = pellucid.craft(Colours().eval(), coloured(6), "layer", 0, number=3, crop=4)
    for lang, word in (("en", "Part 1"), ("zh", "部分")):
        assert word in found.text(lang=lang).replace("\u2068", "").replace("\u2069", "")
        assert found.svg(lang=lang).count("data-importance") == 3
    assert len(found.to_frame()) == 3


def test_a_weak_part_is_drawn_as_strongly_as_a_strong_one_and_its_scale_is_said() -> None:
    found = pellucid.craft(Colours().eval(), coloured(6) * torch.tensor([1, 0.1, 0.01])[:, None, None], "layer", 0,
                           number=3, crop=4)
    said = found.svg()
    limits = [float(v) for v in re.findall(r'data-limit="([^"]+)"', said)]
    assert limits == pytest.approx([float(found.where(k).max()) for k in range(3)], rel=1e-4)
    assert max(limits) > 20 * min(limits)
    assert "a scale of its own" in said
    for limit in limits:
        assert number(limit, 2) in said
    assert "各有尺度" in found.svg(lang="zh")


@pytest.mark.parametrize(("value", "error", "said"), [
    (0.9943, 0.0113, "0.994 ± 0.011"), (0.9943, 0.024, "0.99 ± 0.02"), (1.03, 0.18, "1.03 ± 0.18"),
    (0.000203, 0.00007, "0.00020 ± 0.00007"), (0.5, 0.0, "0.5 ± 0")])
def test_no_more_digits_are_said_than_the_error_bears(value: float, error: float, said: str) -> None:
    part = Part(1, value, error, 0.5, 1.0, torch.ones(3))
    assert f"{said} ·" in Craft((part,), "layer", "0", 2, 9, 4, 0.0, 0, torch.zeros(2, 1, 4)).text(width=200)
