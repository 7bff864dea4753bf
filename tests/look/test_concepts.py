"""Concepts: vectors by their closed forms, captum's score with our vector, honest tests, the watermark found."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import pellucid
from pellucid.numbers import cav
from pellucid.numbers.permutation import extremes, joint, p_values, relabelled, yekutieli
from pellucid.numbers.ranking import lots
from pellucid.numbers.significance import discoveries
from pellucid.testing.pristine import pristine
from pellucid.words.errors import PellucidError

TRAINING = str(Path(__file__).parents[2] / "training")


SEEDS = 20 if os.environ.get("PELLUCID_FULL") else 6
"""Of the planted concept; all twenty by `make laws`."""


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=lots(seed), dtype=torch.float64)


class Net(nn.Module):
    """A layer whose value is the input, and a score that bends behind it."""

    def __init__(self, n: int = 6, bent: bool = True) -> None:
        super().__init__()
        self.layer, self.hidden, self.head = nn.Identity(), nn.Linear(n, 16), nn.Linear(16, 3)
        self.bent = bent

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.hidden(self.layer(x))
        return self.head(torch.tanh(hidden) if self.bent else hidden)


def net(n: int = 6, bent: bool = True, seed: int = 0) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Net(n, bent).eval()


def rows(x: Tensor) -> list[Tensor]:
    return list(x.float()[:, None])


# --- vectors

def test_ridge_is_least_squares_with_a_penalty_and_a_free_constant() -> None:
    a, y = normal(14, 5), torch.tensor([1.0] * 6 + [-1.0] * 8, dtype=torch.float64)
    alpha, b = cav.fitted((a @ a.mT)[None], y, "ridge", 0.1)
    centred = a - a.mean(0)
    s = float(centred.square().sum(1).mean())
    v = torch.linalg.solve(centred.mT @ centred + 0.1 * s * 14 * torch.eye(5, dtype=torch.float64),
                           centred.mT @ (y - y.mean()))
    torch.testing.assert_close(alpha[0] @ a, v, rtol=1e-9, atol=1e-10)
    assert float(b[0]) == pytest.approx(float(y.mean() - a.mean(0) @ v), abs=1e-9)
    assert float(alpha.sum()) == pytest.approx(0, abs=1e-9)


def test_logistic_is_scikit_learns() -> None:
    from sklearn.linear_model import LogisticRegression

    a = normal(40, 5, seed=1)
    a[:20] += 0.7
    y = torch.tensor([1.0] * 20 + [-1.0] * 20, dtype=torch.float64)
    alpha, b = cav.fitted((a @ a.mT)[None], y, "logistic", 0.05)
    penalty = 0.05 * float((a - a.mean(0)).square().sum(1).mean()) * 40
    theirs = LogisticRegression(C=1 / penalty, tol=1e-12, max_iter=10_000).fit(a.numpy(), y.numpy())
    np.testing.assert_allclose((alpha[0] @ a).numpy(), theirs.coef_[0], rtol=1e-5, atol=1e-7)
    assert float(b[0]) == pytest.approx(float(theirs.intercept_[0]), rel=1e-5)


def test_what_is_told_of_vectors_is_what_the_vectors_written_out_say() -> None:
    a, g = normal(30, 7), normal(9, 7, seed=1)
    counters = torch.stack([10 + torch.randperm(20, generator=lots(k))[:8] for k in range(3)])
    cut = cav.Cut.of(10, counters, 0)
    for kind in cav.KINDS:
        told = cav.told(a @ a.mT, g @ a.mT, cut, relabelled(30, 2, 0), kind)
        v = cav.weights(a @ a.mT, cut, kind) @ a
        unit = v / v.norm(dim=1, keepdim=True)
        torch.testing.assert_close(told.scores[0], (g @ v.mT > 0).double().mean(0))
        torch.testing.assert_close(told.slopes[0], (g @ unit.mT).mean(0))
        cosines = [float(unit[i] @ unit[j]) for i in range(3) for j in range(i)]
        assert float(told.stability[0]) == pytest.approx(sum(cosines) / 3)
        other = relabelled(30, 2, 0)[2]
        w = cav.weights((a[other] @ a[other].mT), cut, kind) @ a[other]
        torch.testing.assert_close(told.scores[2], (g @ w.mT > 0).double().mean(0))


def test_accuracy_is_of_examples_that_no_vector_was_fitted_to() -> None:
    """In more dimensions than examples every labelling can be learnt by heart: held-out ones give it away."""
    a = normal(40, 400)
    counters = torch.stack([20 + torch.arange(20)] * 2)
    told = cav.told(a @ a.mT, a[:2] @ a.mT, cav.Cut.of(20, counters, 0), relabelled(40, 60, 0), "ridge")
    assert 0.4 < float(told.accuracy.mean()) < 0.6
    alpha, b = cav.fitted((a @ a.mT)[None], torch.tensor([1.0] * 20 + [-1.0] * 20, dtype=torch.float64), "ridge")
    assert bool(((alpha @ a @ a.mT + b[:, None])[0, :20] > 0).all())


# --- the score

@pytest.mark.parametrize("kind", cav.KINDS)
def test_on_a_linear_model_the_slope_is_the_weights_along_the_vector(kind: str) -> None:
    model = net(bent=False)
    concept, pool = normal(12, 6) + 1, normal(40, 6, seed=1)
    with pristine(model):
        found = pellucid.tcav(model, rows(normal(5, 6, seed=2)), {"c": rows(concept)}, rows(pool), layer="layer",
                              target=1, cav=kind, permutations=199)["c", "layer"]
    weights = (model.head.weight @ model.hidden.weight)[1].detach()
    torch.testing.assert_close(torch.tensor(found.slopes), found.vectors @ weights, rtol=1e-4, atol=1e-6)
    assert set(found.scores) <= {0.0, 1.0}
    assert found.score == pytest.approx(float((found.vectors @ weights > 0).float().mean()))
    torch.testing.assert_close(found.vectors.norm(dim=1), torch.ones(10))
    assert "concept.one_way" in {f.code for f in found.findings}


def test_captums_score_with_our_vector_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from captum.concept import TCAV, Concept
    from captum.concept._utils.classifier import Classifier

    model, inputs = net(seed=3), normal(40, 6, seed=2)
    concept, sets = normal(12, 6) + 0.5, [normal(12, 6, seed=5 + k) for k in range(2)]
    mine = pellucid.tcav(model, rows(inputs), {"c": rows(concept)}, [rows(s) for s in sets], layer="layer", target=2,
                         permutations=19)["c", "layer"]
    assert 0 < mine.scores[0] < 1

    class Ours(Classifier):
        def __init__(self) -> None:
            self.seen = False

        def train_and_eval(self, dataloader: Any, **kwargs: Any) -> None:
            self.seen = True

        def weights(self) -> Tensor:
            return torch.stack([mine.vectors[0], -mine.vectors[0]])

        def classes(self) -> list[int]:
            return [0, 1]

    monkeypatch.chdir(tmp_path)
    both = [Concept(k, f"c{k}", [x[None].float() for x in v]) for k, v in enumerate((concept, sets[0]))]
    theirs = TCAV(model, ["layer"], classifier=Ours(), save_path=str(tmp_path), model_id="m").interpret(
        inputs.float(), [both], target=2)
    (result,) = theirs.values()
    assert float(result["layer"]["sign_count"][0]) == pytest.approx(mine.scores[0], abs=1e-7)


def test_answers_do_not_hang_on_how_rows_are_cut(vision: bool) -> None:
    subject, few = pellucid.load("demo:reviews"), pellucid.samples("reviews")
    texts = [f"{a} {b}" for a in few[:3] for b in few[:4]]
    asked: dict[str, Any] = {"layer": "stages", "target": 1, "permutations": 19, "sets": 3}
    found = [pellucid.tcav(subject, few[:3], {"long": texts}, few * 3, chunk=chunk, **asked) for chunk in (None, 2)]
    assert found[0].over == "channels"
    for one, other in zip(found[0].values(), found[1].values(), strict=True):
        assert one.score == other.score
        assert one.slope == pytest.approx(other.slope, rel=1e-4, abs=1e-6)


# --- tests

def test_random_concepts_are_significant_as_often_as_the_level_says_and_the_usual_t_test_is_not() -> None:
    """300 sets drawn as the counters are: p <= 0.05 in 5 %; a t-test over runs that share examples says far more."""
    hits, customary, runs = 0, 0, 300
    for seed in range(runs):
        a, g = normal(60, 8, seed=2 * seed), normal(15, 8, seed=2 * seed + 1) + 0.3
        counters = torch.stack([15 + torch.randperm(45, generator=lots(seed, k))[:15] for k in range(6)])
        told = cav.told(a @ a.mT, g @ a.mT, cav.Cut.of(15, counters, seed), relabelled(60, 59, seed), "mean")
        both = extremes(torch.stack([told.scores.mean(1), told.slopes.mean(1)], 1))
        hits += float(p_values(joint(both)[:, None])) <= 0.05
        one, other = told.scores[0], told.scores[1]
        spread = math.sqrt(float(one.var() + other.var()) / 6)
        customary += abs(float(one.mean() - other.mean())) > 2.23 * spread
    assert hits / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
    assert hits > 0
    assert customary / runs > 0.3


def test_p_counts_the_true_labelling_and_sees_what_is_planted() -> None:
    values = torch.tensor([[3.0], [1.0], [3.0], [0.0]])
    assert float(p_values(values)) == 0.5
    assert float(p_values(torch.arange(20.0).flip(0)[:, None])) == 0.05
    two = torch.tensor([[9.0, 0.0], *[[k / 10, k / 10] for k in range(39)]])
    assert float(p_values(joint(two)[:, None])) <= 2 / 40
    assert torch.equal(relabelled(5, 3, 7), relabelled(5, 3, 7))
    assert torch.equal(relabelled(5, 3, 7)[0], torch.arange(5))


def test_yekutieli_asks_for_more_than_hochberg() -> None:
    p = torch.tensor([0.012, 0.02, 0.6, 0.7])
    assert discoveries(p, 0.05).tolist() == [True, True, False, False]
    assert yekutieli(4) == pytest.approx(1 + 1 / 2 + 1 / 3 + 1 / 4)
    assert not bool(discoveries(p, 0.05 / yekutieli(4)).any())


def test_control_by_asks_for_more_of_the_same_tests_than_control_bh() -> None:
    """The smallest p that 19 deals can give is 1/20: two tests of two hold at 5 % by bh, none by by (5 % / 1.5)."""
    model = net(bent=False)
    weights = (model.head.weight @ model.hidden.weight)[0].detach().double()
    strong = {name: rows(normal(9, 6, seed=k) + 4 * weights / weights.norm()) for k, name in ((1, "c"), (4, "d"))}
    told = {control: pellucid.tcav(model, rows(normal(6, 6)), strong, rows(normal(30, 6, seed=2)), layer="layer",
                                   target=0, permutations=19, control=control) for control in ("bh", "by")}
    assert [t.p for t in told["bh"].values()] == [t.p for t in told["by"].values()]
    assert all(0.05 / yekutieli(2) < t.p <= 0.05 for t in told["bh"].values())
    assert all(t.significant for t in told["bh"].values())
    assert not any(t.significant for t in told["by"].values())
    assert told["by"].control == "by"


def test_watermark_is_significant_where_it_was_learnt_and_not_in_the_twin(
        vision: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds of other pictures, sets and random concepts; the twin saw the same badges and learnt digits."""
    monkeypatch.syspath_prepend(TRAINING)
    from digits_pictures import add_stamp, load_scans, render, stamp_places

    _, scans = load_scans(7)
    sevens = scans.pixels[scans.digits == 7]
    held: dict[tuple[str, str], int] = {}
    random = 0
    for seed in range(SEEDS):
        g = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(scans.digits), generator=g)

        def drawn(some: Tensor, g: torch.Generator, stamped: bool) -> list[Any]:
            made = render(some, g)
            made = add_stamp(made, stamp_places(len(made), g)) if stamped else made
            return [m.permute(1, 2, 0).numpy() for m in made]

        pictures = {"watermark": drawn(scans.pixels[order[:24]], g, True),
                    "random": drawn(scans.pixels[order[24:48]], g, False)}
        pool = drawn(scans.pixels[order[48:144]], g, False)
        inputs = drawn(sevens[torch.randperm(len(sevens), generator=g)[:20]], g, True)
        for name in ("digits", "digits-clean"):
            subject = pellucid.load(f"demo:{name}")
            with pristine(subject.module):
                found = pellucid.tcav(subject, inputs, pictures, pool, layer=["layer2", "layer3"], target="7",
                                      cav="ridge", permutations=99, sets=6, seed=seed)
            for (concept, _), test in found.items():
                held[name, concept] = held.get((name, concept), 0) + test.significant
                assert not (test.significant and not test.found)
            random += sum(t.significant for t in found.values() if t.concept == "random")
    tests = 2 * SEEDS  # two layers each
    assert held["digits", "watermark"] >= (tests if SEEDS < 20 else 0.95 * tests), held
    assert held["digits-clean", "watermark"] == 0
    assert random <= 0.05 * 2 * tests + 1, random  # of as many for each network
    sys.modules.pop("digits_pictures", None)


def test_a_set_like_any_other_is_none() -> None:
    found = pellucid.tcav(net(), rows(normal(10, 6, seed=9)), {"any": rows(normal(15, 6)),
                                                               "real": rows(normal(15, 6, seed=1) + 3)},
                          rows(normal(50, 6, seed=2)), layer="layer", target=0)
    none, real = found["any", "layer"], found["real", "layer"]
    assert [f.code for f in none.findings if f.level == "fail"] == ["concept.none"]
    assert not none.found
    assert not none.significant
    assert real.found
    assert real.accuracy > 0.9 > none.accuracy
    assert real.stability > 0.8 > none.stability
    assert "concept.none" in found.text()
    assert "none" in found.to_frame()["findings"].iloc[0]


def test_an_unusual_score_does_not_make_a_concept_of_what_cannot_be_told_apart() -> None:
    """One of the five in a hundred random sets that chance gives a p of 0.05."""
    (found,) = pellucid.tcav(net(), rows(normal(10, 6, seed=9)), {"c": rows(normal(12, 6, seed=107))},
                             rows(normal(40, 6, seed=2)), layer="layer", target=0, permutations=19, cav="mean").values()
    assert found.p == 0.05
    assert not found.found
    assert not found.significant


def test_too_few_random_concepts_for_so_many_tests_is_said() -> None:
    model = net(bent=False)
    weights = (model.head.weight @ model.hidden.weight)[0].detach().double()
    asked: dict[str, Any] = {"concepts": {"c": rows(normal(9, 6, seed=1) + 4 * weights / weights.norm()),
                                          "d": rows(normal(9, 6, seed=4)), "e": rows(normal(9, 6, seed=5))},
                             "counters": rows(normal(30, 6, seed=2)), "layer": "layer", "target": 0}
    few = pellucid.tcav(model, rows(normal(6, 6)), **asked, permutations=19)["c", "layer"]
    assert few.p == 0.05
    assert "concept.coarse" in {f.code for f in few.findings}
    more = pellucid.tcav(model, rows(normal(6, 6)), **asked, permutations=99)["c", "layer"]
    assert "concept.coarse" not in {f.code for f in more.findings}
    assert more.significant


def test_same_seed_same_answer_and_nobody_elses_dice() -> None:
    before = torch.random.get_rng_state()
    some = [pellucid.tcav(net(), rows(normal(6, 6)), {"c": rows(normal(9, 6, seed=1) + 1)}, rows(normal(30, 6, seed=2)),
                          layer="layer", target=0, seed=s, permutations=19)["c", "layer"] for s in (4, 4, 5)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert some[0].scores == some[1].scores
    assert torch.equal(some[0].null, some[1].null)
    assert not torch.equal(some[0].vectors, some[2].vectors)


# --- where examples come from

def test_folders_of_pictures(vision: bool, tmp_path: Path) -> None:
    for name, colour in (("red", (220, 30, 30)), ("grey", (120, 120, 120))):
        (tmp_path / name).mkdir()
        for k in range(8 if name == "red" else 24):
            noise = np.random.default_rng(k).integers(-25, 25, (64, 64, 3))
            Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(
                tmp_path / name / f"{k}.png")
        (tmp_path / name / "notes.txt").write_text("not a picture")
    found = pellucid.tcav(pellucid.load("demo:digits"), pellucid.samples("digits")[:3], {"red": tmp_path / "red"},
                          str(tmp_path / "grey"), layer="layer2", target="7", over="channels")["red", "layer2"]
    assert (found.examples, found.accuracy) == (8, 1.0)
    assert found.found


def test_filters_over_the_rows_of_a_table() -> None:
    subject = pellucid.load("demo:tumours")
    column = subject.reader.columns[0]
    rows_ = subject.split(subject.reader.background)
    assert rows_ is not None
    middle = float(np.median([float(r[column.name]) for r in rows_]))
    asked: dict[str, Any] = {"layer": "stages", "target": 1, "permutations": 19}
    found = pellucid.tcav(subject, pellucid.samples("tumours"), {"large": {column.name: (middle, None)}}, **asked)
    same = pellucid.tcav(subject, pellucid.samples("tumours"),
                         {"large": lambda row: float(row[column.name]) >= middle}, **asked)
    for one, other in zip(found.values(), same.values(), strict=True):
        assert one.examples == sum(float(r[column.name]) >= middle for r in rows_)
        assert one.scores == other.scores


@pytest.mark.parametrize(("change", "code"), [
    ({"concepts": {}}, "concept.few"),
    ({"concepts": {"c": rows(normal(3, 6))}}, "concept.few"),
    ({"concepts": {"c": "no such folder"}}, "concept.unreadable"),
    ({"counters": None}, "concept.counters"),
    ({"counters": rows(normal(5, 6))}, "concept.few"),
    ({"layer": "layr"}, "layer.unknown"),
    ({"cav": "svm"}, "option.value"),
    ({"permutations": 5}, "option.value"),
    ({"level": 1.5}, "option.value"),
])
def test_what_does_not_fit_is_said(change: dict[str, Any], code: str) -> None:
    asked: dict[str, Any] = {"concepts": {"c": rows(normal(9, 6))}, "counters": rows(normal(30, 6, seed=1)),
                                 "layer": "layer", "target": 0}
    with pytest.raises(PellucidError) as caught:
        pellucid.tcav(net(), rows(normal(4, 6)), **{**asked, **change})
    assert caught.value.code == code


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(PellucidError) as caught:
        pellucid.tcav(net(), rows(normal(4, 6)), {"c": tmp_path}, rows(normal(30, 6)), layer="layer", target=0)
    assert caught.value.code == "concept.folder"


def test_the_drawing_holds_every_score_in_both_languages() -> None:
    found = pellucid.tcav(net(), rows(normal(6, 6)), {"<b>c</b>": rows(normal(9, 6, seed=1) + 2)},
                          rows(normal(30, 6, seed=2)), layer="layer", target=0, permutations=19)
    (test,) = found.values()
    for lang in ("en", "zh"):
        drawn = found.svg(lang=lang)
        assert f'data-score="{test.score:.4g}"' in drawn
        assert "<b>" not in drawn
        assert "c" in found.text(lang=lang)
    assert "哪些概念" in found.text(lang="zh")
