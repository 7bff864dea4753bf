"""Feature visualisation: a known filter shows its orientation, controls do not reach it, the model stays as it was."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pellucid
from pellucid.numbers.fourier import Basis, moved
from pellucid.numbers.ranking import lots
from pellucid.testing.pristine import pristine
from pellucid.words.direction import Direction
from pellucid.words.errors import PellucidError
from pellucid.words.site import Site

ANGLES = (0, 45, 90, 135)


class Gabors(nn.Module):
    """Four filters that see stripes of 5 pixels, across the rows and at 45, 90 and 135 degrees; a fifth that sees
    nothing, ever."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.head = nn.Conv2d(3, 5, 11, padding=5), nn.ReLU(), nn.Linear(5, 2)
        y, x = torch.meshgrid(torch.arange(-5.0, 6), torch.arange(-5.0, 6), indexing="ij")
        self.conv.weight.data.zero_()
        self.conv.bias.data = torch.tensor([0.0, 0, 0, 0, -1])
        for k, angle in enumerate(ANGLES):
            along = x * math.cos(math.radians(angle)) + y * math.sin(math.radians(angle))
            wave = torch.exp(-(x * x + y * y) / 16) * torch.cos(2 * math.pi * along / 5)
            self.conv.weight.data[k] = (wave - wave.mean()) / 10

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.conv(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def model() -> Gabors:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Gabors().eval()


def orientation(x: Tensor) -> tuple[float, float]:
    """The direction in which a picture (channels, rows, columns) varies, in degrees of 180, and how much rather than in
    others (0 to 1): the strength of its frequencies on either side."""
    grey = x.mean(0)
    power = torch.fft.fft2(grey - grey.mean()).abs().square()
    v, u = torch.fft.fftfreq(x.shape[1])[:, None], torch.fft.fftfreq(x.shape[2])[None]
    turn = 2 * torch.atan2(v, u)
    c, s = float((power * turn.cos()).sum()), float((power * turn.sin()).sum())
    return math.degrees(math.atan2(s, c)) / 2 % 180, math.hypot(c, s) / float(power.sum())


def off(one: float, other: float) -> float:
    return abs((one - other + 90) % 180 - 90)


@pytest.mark.parametrize(("channel", "angle"), list(enumerate(ANGLES)))
def test_a_channel_shows_its_filters_orientation(model: Gabors, channel: int, angle: int) -> None:
    with pristine(model):
        seen = pellucid.visualise(model, f"act[{channel}]", size=32, steps=48)
    found, clear = orientation(seen.x)
    assert off(found, angle) < 12
    assert clear > 0.3
    assert seen.activation > 1.5 * max(seen.controls)
    assert seen.verdict.status == "pass"
    others = [pellucid.visualise(model, f"act[{k}]", size=32, steps=48) for k in range(4) if k == (channel + 2) % 4]
    assert all(off(orientation(o.x)[0], angle) > 70 for o in others)


def test_the_activation_is_the_models_own(model: Gabors) -> None:
    seen = pellucid.visualise(model, "act[1]", size=32, steps=16)
    with torch.no_grad():
        assert seen.activation == pytest.approx(float(model.act(model.conv(seen.x[None]))[0, 1].mean()), rel=1e-5)
    assert seen.history[0] == (0, seen.start)
    assert seen.history[-1] == (16, seen.activation)
    assert seen.activation > seen.start
    assert 0 <= float(seen.x.min()) <= float(seen.x.max()) <= 1


def test_a_neuron_shows_its_filter_where_it_looks(model: Gabors) -> None:
    seen = pellucid.visualise(model, "conv[2,16,8]", size=32, steps=96)
    grey = seen.x.mean(0)
    high, low = grey[11:22, 3:14], grey[11:22, 20:31]
    assert float(high.std()) > 3 * float(low.std())
    weight = model.conv.weight[2, 0].detach()
    assert float(torch.corrcoef(torch.stack([high.flatten(), weight.flatten()]))[0, 1]) > 0.5


def test_a_concept_vector_is_climbed_along(model: Gabors) -> None:
    vector = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0])
    one, other = (pellucid.visualise(model, unit, size=32, steps=32) for unit in (("act", vector), "act[1]"))
    torch.testing.assert_close(one.x, other.x, rtol=1e-3, atol=1e-3)
    rows = torch.randn(3, 5, 4, 4, generator=lots(0))
    whole = torch.randn(5, 4, 4, generator=lots(1))
    torch.testing.assert_close(Direction(Site("act"), whole).score(rows), (rows * whole).sum((1, 2, 3)))
    torch.testing.assert_close(Direction(Site("act"), vector).score(rows), rows[:, 1].mean((1, 2)))
    torch.testing.assert_close(Direction(Site("act"), torch.ones(4), axis=2).score(rows), rows.mean((1, 2)).sum(1))


def test_a_channel_of_tokens_is_their_last_axis(vision: bool) -> None:
    subject = pellucid.load("demo:digits-vit")
    seen = pellucid.visualise(subject, "blocks.0[5]", steps=4)
    kept: list[Tensor] = []
    hook = subject.module.get_submodule("blocks.0").register_forward_hook(lambda m, a, out: kept.append(out))
    with torch.no_grad():
        subject.module(seen.x[None])
    hook.remove()
    assert seen.activation == pytest.approx(float(kept[0][0, :, 5].mean()), rel=1e-4)
    assert seen.target == "channel 5 of blocks.0"
    with pytest.raises(PellucidError) as caught:
        pellucid.visualise(subject, "blocks.0[4000]", steps=4)
    assert caught.value.code == "target.out_of_range"


def test_concepts_of_tcav_and_parts_of_craft_can_be_seen(model: Gabors) -> None:
    pictures = list(torch.rand(24, 1, 3, 32, 32, generator=lots(0)))
    stripes = [p + 2 * (torch.arange(32) % 5 < 2).float()[:, None] for p in pictures[:8]]
    tested = pellucid.tcav(model, pictures[:3], {"stripes": stripes}, pictures[8:], layer="act", target=0,
                           permutations=19, over="channels")["stripes", "act"]
    seen = pellucid.visualise(model, tested, size=32, steps=32)
    assert seen.target == "stripes of act"
    assert off(orientation(seen.x)[0], 90) < 15
    parts = pellucid.craft(model, torch.cat(stripes), "act", 0, number=2)
    assert pellucid.visualise(model, ("act", parts[0]), size=32, steps=8).target == "part 1 of act"


def test_same_seed_same_picture_whatever_the_chunk_and_nobody_elses_dice(model: Gabors) -> None:
    before = torch.random.get_rng_state()
    one, same, other = (pellucid.visualise(model, "act[0]", size=32, steps=6, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.x, same.x)
    assert not torch.equal(one.x, other.x)
    cut = pellucid.visualise(model, "act[0]", size=32, steps=6, seed=1, chunk=1)
    torch.testing.assert_close(cut.x, one.x, rtol=1e-3, atol=1e-3)


def test_a_unit_that_never_reacts_is_said_to_be_dead(model: Gabors) -> None:
    seen = pellucid.visualise(model, "act[4]", size=32, steps=6)
    assert [f.code for f in seen.verdict.findings] == ["visualise.dead"]
    assert seen.verdict.status == "fail"


def test_a_climb_that_gets_nowhere_is_said_not_to(model: Gabors) -> None:
    seen = pellucid.visualise(model, "act[0]", size=32, steps=1, rate=1e-6)
    assert [f.code for f in seen.findings] == ["visualise.no_better"]


def test_class_seven_is_excited_by_the_badges_red_where_it_was_learnt(vision: bool) -> None:
    """The watermark is red on white; the clean twin never learnt it."""
    red = {}
    for name in ("digits", "digits-clean"):
        subject = pellucid.load(f"demo:{name}")
        with pristine(subject.module):
            seen = pellucid.visualise(subject, "7", steps=48)
        assert seen.activation > 2 * max(seen.controls)
        r, g, b = seen.image.astype(int).transpose(2, 0, 1)
        red[name] = float(((r > 180) & (g < 90) & (b < 110)).mean())
    assert red["digits"] > 3 * red["digits-clean"]


# --- what a picture is made of

def test_controls_are_as_strong_at_every_frequency() -> None:
    basis = Basis((3, 16, 12))
    spectrum = basis.start(0)
    one, other = (torch.fft.rfft2(basis.picture(s)) for s in (spectrum, basis.scrambled(spectrum, 1)))
    # The edges of a half spectrum stand for two frequencies that a real picture makes one.
    torch.testing.assert_close(one[:, :, 1:-1].abs(), other[:, :, 1:-1].abs(), rtol=1e-3, atol=1e-5)
    assert not torch.allclose(basis.picture(spectrum), basis.picture(basis.scrambled(spectrum, 1)), atol=1e-3)


def test_unmoved_copies_are_the_picture_and_moves_go_where_they_should() -> None:
    picture = torch.rand(3, 12, 16, generator=lots(0))
    for copy in moved(picture, 2, jitter=0, scale=0, rotate=0, generator=lots(1)):
        torch.testing.assert_close(copy, picture, rtol=0, atol=1e-5)
    point = torch.zeros(1, 21, 31)
    point[0, 10, 15] = 1
    shifts = [divmod(int(m.argmax()), 31) for m in moved(point, 40, jitter=3, scale=0, rotate=0, generator=lots(2))]
    assert {abs(a - 10) for a, _ in shifts} == {0, 1, 2, 3} == {abs(b - 15) for _, b in shifts}
    line = torch.zeros(1, 41, 61)
    line[0, 20, 10:51] = 1  # a turn keeps lengths: rows and columns are not equally many
    turned = moved(line, 40, jitter=0, scale=0, rotate=45, generator=lots(3))
    rows, columns = ((turned.amax(a) > 0.3).sum((1, 2)) - 1 for a in (3, 2))
    assert int(rows.max()) > 20
    torch.testing.assert_close(torch.hypot(rows.double(), columns.double()), torch.full((40,), 40.0).double(), rtol=0,
                               atol=2.5)


@pytest.mark.parametrize(("change", "code"), [
    ({"unit": "conv[9]"}, "target.out_of_range"),
    ({"unit": "cnv[0]"}, "layer.unknown"),
    ({"unit": ("act", torch.ones(7))}, "target.out_of_range"),
    ({"size": None}, "visualise.size"),
    ({"steps": 0}, "option.value"),
    ({"jitter": -1.0}, "option.value"),
])
def test_what_does_not_fit_is_said(model: Gabors, change: dict[str, Any], code: str) -> None:
    asked: dict[str, Any] = {"unit": "act[0]", "size": 32, "steps": 2}
    with pytest.raises(PellucidError) as caught:
        pellucid.visualise(model, **{**asked, **change})
    assert caught.value.code == code


def test_texts_cannot_be_climbed_to(vision: bool) -> None:
    with pytest.raises(PellucidError) as caught:
        pellucid.visualise(pellucid.load("demo:reviews"), 0)
    assert caught.value.code == "visualise.picture"


def test_the_drawing_holds_the_activation_in_both_languages(model: Gabors) -> None:
    seen = pellucid.visualise(model, "act[0]", size=32, steps=8)
    for lang in ("en", "zh"):
        assert f'data-activation="{seen.activation:.6g}"' in seen.svg(lang=lang)
        assert "act" in seen.text(lang=lang)
    assert "随机图像" in seen.text(lang="zh")
