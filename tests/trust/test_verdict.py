"""The verdict: every code fires where it should, and stays silent on a twin where it should not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pellucid
from pellucid import reasons
from pellucid.models.demo import demo, samples
from pellucid.models.module import wrap
from pellucid.models.tabular import Column
from pellucid.numbers.estimate import Estimate
from pellucid.reasons import Found
from pellucid.words.explanation import Evidence, Explanation
from pellucid.words.features import units

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def net(*layers: nn.Module, seed: int = 0) -> nn.Module:
    """Layers with weights drawn by seed, in double precision."""
    made = nn.Sequential(*layers).double().eval()
    for k, parameter in enumerate(made.parameters()):
        parameter.data = 0.5 * normal(*parameter.shape, seed=seed + k)
    return made


def codes(e: Explanation) -> dict[str, str]:
    assert all(f.do for f in e.verdict.findings), "a finding without a word on what to do"
    return {f.code: f.level for f in e.verdict.findings}


CLASSES = [nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3)]
X = normal(1, 6, seed=1)


class Squash(nn.Module):
    """Scores as probabilities, made in a given way; with a factor that drives them to their ends."""

    def __init__(self, how: Callable[[Tensor], Tensor], factor: float = 1.0) -> None:
        super().__init__()
        self.inner, self.how, self.factor = net(*CLASSES), how, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.how(self.factor * self.inner(x))


PROBABILITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda y: y.softmax(1), "functional": lambda y: nn.functional.softmax(y, dim=1),
    "exp": lambda y: y.log_softmax(1).exp(), "by hand": lambda y: y.exp() / y.exp().sum(1, keepdim=True),
    "sigmoids": lambda y: y.sigmoid(), "one sigmoid": lambda y: torch.sigmoid(y[:, :1]),
    "flat sigmoid": lambda y: torch.sigmoid(y[:, :1]).squeeze(-1),
}
SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "logits": lambda y: y, "log": lambda y: y.log_softmax(1), "positive": lambda y: y.exp(),
    "gated": lambda y: y * y.sigmoid(), "one": lambda y: y[:, :1], "bounded": lambda y: (y.tanh() + 1) / 2,
}


@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "kernel_shap", "ablation"])
@pytest.mark.parametrize("how", PROBABILITIES)
def test_a_probability_is_told_from_a_logit(how: str, method: str) -> None:
    e = pellucid.explain(Squash(PROBABILITIES[how]), X, method, target=0)
    assert codes(e).get("target.probability") == "warn"
    assert "logit" in next(f.do for f in e.verdict.findings if f.code == "target.probability")


@pytest.mark.parametrize("method", ["saliency", "kernel_shap"])
@pytest.mark.parametrize("how", SCORES)
def test_what_only_looks_like_a_probability_is_none(how: str, method: str) -> None:
    assert "target.probability" not in codes(pellucid.explain(Squash(SCORES[how]), X, method, target=0))


def test_a_function_that_takes_the_probability_of_a_logit_model_is_seen_through() -> None:
    inner = net(*CLASSES)
    e = pellucid.explain(inner, X, "saliency", target=lambda y: y.softmax(1)[:, 0])
    assert "target.probability" in codes(e)
    assert "target.probability" not in codes(pellucid.explain(inner, X, "saliency", target=lambda y: y[:, 0]))


@pytest.mark.parametrize("method", ["saliency", "input_x_gradient", "integrated_gradients", "ablation"])
def test_a_saturated_probability_is_said_to_be_one(method: str) -> None:
    low, high = (Squash(lambda y: y.softmax(1), f) for f in (1.0, 200.0))
    assert "score.saturated" in codes(pellucid.explain(high, X, method))
    assert "score.saturated" not in codes(pellucid.explain(low, X, method))


@pytest.mark.parametrize("method", ["saliency", "input_x_gradient"])
def test_a_gradient_that_vanished_is_noticed_without_a_probability(method: str) -> None:
    """A clipped score: no slope at x, though it is far from the baseline's; and two twins that have one, or a baseline
    that scores the same."""
    class Clipped(nn.Module):
        def __init__(self, factor: float, bias: float) -> None:
            super().__init__()
            self.inner, self.factor, self.bias = Sums(1.0, -1.0, 0.5, 2.0, 1.0, 1.0), factor, bias

        def forward(self, x: Tensor) -> Tensor:
            return 3 * torch.tanh(self.factor * self.inner(x) - self.bias)

    assert "score.saturated" in codes(pellucid.explain(Clipped(100.0, 20.0), X, method))
    assert "score.saturated" not in codes(pellucid.explain(Clipped(1.0, 0.2), X, method))
    constant = Squash(lambda y: 5 + 0 * y[:, :1])
    assert set(codes(pellucid.explain(constant, X, method))) == {"values.all_zero"}


def test_no_question_more_is_asked_where_nothing_is_suspicious() -> None:
    model, conv = net(*CLASSES), net(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                     nn.Linear(4, 3))
    assert pellucid.explain(model, X, "saliency").evidence.rows == 1
    assert pellucid.explain(conv, normal(1, 1, 8, 8, seed=2), "grad_cam").evidence.rows == 1
    e = pellucid.explain(model, X, "integrated_gradients", steps=20)
    assert e.evidence.rows == 22, "x, the baseline and the steps: how sure the model is there is read from the same row"


# --- completeness, convergence


def test_completeness_is_judged_relative_to_the_change_whatever_its_size() -> None:
    """The same net times 1e-6, and times 1e6: the same verdict."""
    sharp = net(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1), seed=5)
    for size in (1e-6, 1.0, 1e6):
        def scaled(y: Tensor, size: float = size) -> Tensor:
            return size * y[:, 0]

        bad = pellucid.explain(sharp, 5 * X, "integrated_gradients", target=scaled, steps=1)
        good = pellucid.explain(sharp, 5 * X, "integrated_gradients", target=scaled)
        assert "complete.not" in codes(bad), size
        assert codes(good) == {}, size


def test_a_difference_that_rounding_made_is_not_held_against_the_values() -> None:
    score = 1e6 + 1.0
    found = Found(torch.tensor([0.5, 0.3]), Estimate.exact(torch.tensor([0.5, 0.3])), units((2,)), score, 1e6, -0.2)
    assert [f.code for f in reasons.incomplete(found)] == []
    apart = replace(found, score=2.0, baseline=1.0)
    assert [f.code for f in reasons.incomplete(apart)] == ["complete.not"]


@pytest.mark.parametrize(("steps", "few"), [(1, True), (3, True), (8, True), (9, False), (50, False)])
def test_few_steps_cannot_tell_their_error(steps: int, few: bool) -> None:
    smooth = net(*CLASSES)
    e = pellucid.explain(smooth, X, "integrated_gradients", steps=steps)
    assert ("steps.few" in codes(e)) == few
    assert e.verdict.status == ("warn" if few else "pass")


def test_an_integral_that_did_not_settle_is_said() -> None:
    bent = net(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1), seed=5)
    assert "converged.not" in codes(pellucid.explain(bent, 5 * X, "integrated_gradients", limit=9, tolerance=1e-4))
    assert "converged.not" not in codes(pellucid.explain(bent, 5 * X, "integrated_gradients", limit=8193))


@pytest.mark.parametrize("name", ["digits", "digits-vit", "reviews", "recommender", "tumours"])
def test_the_demo_subjects_explanations_pass(name: str) -> None:
    subject = demo(name)
    for x in samples(name)[:2]:
        assert codes(pellucid.explain(subject, x)) == {}


def test_three_steps_over_a_digit_are_marked() -> None:
    e = pellucid.explain(demo("digits"), samples("digits")[0], "integrated_gradients", steps=3)
    assert e.verdict.status in ("warn", "fail")
    assert "steps.few" in codes(e)


# --- values that single nothing out


class Sums(nn.Module):
    """w · x for given weights; with `beside`, a second class that scores so much less."""

    def __init__(self, *weights: float, beside: float = 0.0) -> None:
        super().__init__()
        self.w, self.beside = nn.Parameter(torch.tensor(weights, dtype=F64)), beside

    def forward(self, x: Tensor) -> Tensor:
        y = (x.flatten(1) * self.w).sum(1)
        return torch.stack([y, y - self.beside], 1) if self.beside else y


DEGENERATE = [((0.0, 0.0, 0.0, 0.0), "values.all_zero"), ((1.0, 1.0, 1.0, 1.0), "values.constant"),
              ((-1.0, -2.0, -1.0, -3.0), "values.all_negative"), ((1.0, -2.0, 1.0, 3.0), None)]


@pytest.mark.parametrize(("weights", "code"), DEGENERATE)
@pytest.mark.parametrize("method", ["ablation", "occlusion", "input_x_gradient"])
def test_values_that_single_nothing_out_are_marked_over_any_layout(method: str, weights: tuple[float, ...],
                                                                   code: str | None) -> None:
    two = Sums(*weights, beside=1.0)
    named = wrap(Sums(*weights, beside=1.0).float(), columns=[Column(c, "number") for c in "abcd"])
    for model, x in ((two, torch.ones(1, 4, dtype=F64)), (two, torch.ones(1, 1, 2, 2, dtype=F64)),
                     (named, dict.fromkeys("abcd", 1.0))):
        features = "pixels" if isinstance(x, Tensor) and x.dim() == 4 else None
        e = pellucid.explain(model, x, method, baseline=0.0 if isinstance(x, Tensor) else "zero", features=features) \
            if method != "input_x_gradient" else pellucid.explain(model, x, method, features=features)
        assert set(codes(e)) == ({code} if code else set())


@pytest.mark.parametrize("method", ["integrated_gradients", "expected_gradients", "ablation"])
def test_a_score_that_fell_is_negative_by_right(method: str) -> None:
    """Unless it is that of the class which the model chose, which then nothing speaks for."""
    x, weights = torch.ones(1, 3, dtype=F64), (-1.0, -2.0, -1.0)
    assert codes(pellucid.explain(Sums(*weights), x, method)) == {}
    two = Sums(*weights, beside=1.0)
    assert set(codes(pellucid.explain(two, x, method))) == {"values.all_negative"}
    assert codes(pellucid.explain(two, x, method, target=0)) == {}


def test_a_gradient_that_falls_everywhere_is_a_reaction_and_no_doubt() -> None:
    e = pellucid.explain(Sums(-1.0, -2.0, -3.0), torch.ones(1, 3, dtype=F64), "saliency")
    assert codes(e) == {}


# --- baselines


class Certain(nn.Module):
    """Three logits of which the first is `bias` higher at zero."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.inner, self.bias = net(*CLASSES), bias

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + torch.tensor([self.bias, 0.0, 0.0], dtype=x.dtype)


@pytest.mark.parametrize("target", [None, 0, 1, (1, 2)])
@pytest.mark.parametrize("method", ["integrated_gradients", "kernel_shap"])
def test_a_baseline_at_which_the_model_is_sure_is_no_neutral_point(method: str, target: Any) -> None:
    sure = pellucid.explain(Certain(8.0), X, method, target=target)
    assert "baseline.unusual" in codes(sure)
    assert "baseline.unusual" not in codes(pellucid.explain(Certain(0.0), X, method, target=target))


def table(module: nn.Module) -> Any:
    columns = [Column(c, "number", mean=10.0, std=2.0) for c in ("age", "weight", "dose")]
    rows = [{"age": 9.0 + k, "weight": 8.0 + k, "dose": 10.0} for k in range(4)]
    return wrap(module, columns=columns, background=rows)


def test_a_baseline_beyond_the_background_is_named_by_column() -> None:
    subject, row = table(Sums(1.0, -2.0, 3.0).float()), {"age": 11.0, "weight": 8.0, "dose": 12.0}
    e = pellucid.explain(subject, row, "integrated_gradients", baseline={"age": 30.0, "weight": 9.0, "dose": 10.0})
    finding = next(f for f in e.verdict.findings if f.code == "baseline.unusual")
    assert "age" in finding.reason
    assert "weight" not in finding.reason
    for baseline in (None, "mean", "data:2", "draws:3"):
        assert "baseline.unusual" not in codes(pellucid.explain(subject, row, "integrated_gradients",
                                                                baseline=baseline))


def test_a_baseline_that_scores_the_same_leaves_nothing_to_explain() -> None:
    even = Sums(1.0, -1.0, 1.0)
    x = torch.tensor([[2.0, 2.0, 0.0]], dtype=F64)
    assert "baseline.same_score" in codes(pellucid.explain(even, x, "integrated_gradients"))
    assert "baseline.same_score" not in codes(pellucid.explain(even, x + torch.eye(3, dtype=F64)[:1],
                                                               "integrated_gradients"))


# --- ranks, rows, guard, attention


def test_ranks_within_the_error_are_not_settled() -> None:
    noisy = net(nn.Linear(30, 40), nn.Tanh(), nn.Linear(40, 1), seed=8)
    x = 3 * normal(1, 30, seed=9)
    rough = pellucid.explain(noisy, x, "rise", masks=60)
    fine = pellucid.explain(noisy, x, "rise", masks=60_000)
    assert "rank.unsettled" in codes(rough)
    assert "rank.unsettled" not in codes(fine)


class Centred(nn.Module):
    """Minus the mean over the batch, or minus the mean over the row."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.inner, self.axis = net(*CLASSES), axis

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        return y - y.mean(self.axis, keepdim=True)


def test_rows_that_interact_are_said() -> None:
    assert "rows.interact" in codes(pellucid.explain(Centred(0), X, "ablation"))
    assert "rows.interact" not in codes(pellucid.explain(Centred(1), X, "ablation"))


def test_a_model_that_cannot_be_copied_is_under_guard() -> None:
    whole, patched = net(*CLASSES), net(*CLASSES)
    forward = patched.forward
    patched.forward = lambda x: forward(x)  # type: ignore[method-assign]
    assert "isolation.guard" in codes(pellucid.explain(patched, X, "saliency"))
    assert "isolation.guard" not in codes(pellucid.explain(whole, X, "saliency"))


def test_attention_alone_is_never_shown_without_a_word() -> None:
    subject, text = demo("reviews"), samples("reviews")[0]
    assert "attention.alone" in codes(pellucid.explain(subject, text, "attention"))
    assert "attention.alone" not in codes(pellucid.explain(subject, text, "gradient_attention"))


# --- what is not finite


class Root(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x + 1).sqrt()


class Log(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x - 1000).log()


def refused(model: nn.Module, method: str, **options: Any) -> pellucid.PellucidError:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(model, X, method, target=0, **options)
    return error.value


@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "kernel_shap"])
def test_the_first_module_that_says_no_number_is_named(method: str) -> None:
    model = net(nn.Linear(6, 8), nn.Sequential(nn.Tanh(), Log()), nn.Linear(8, 2))
    error = refused(model, method)
    assert error.code == "output.not_finite"
    assert "1.1 (Log)" in error.found
    assert "1.0" not in error.found


def test_a_baseline_that_has_no_score_is_told_from_an_input_that_has_none() -> None:
    class Inverse(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 1 / x

    error = refused(net(Inverse(), nn.Linear(6, 2)), "integrated_gradients")
    assert error.code == "output.not_finite"
    assert "at the baseline" in error.found
    assert "0 (Inverse)" in error.found


@pytest.mark.parametrize("method", ["saliency", "smoothgrad", "input_x_gradient"])
def test_the_module_from_which_no_gradient_comes_back_is_named(method: str) -> None:
    model = net(nn.Linear(6, 8), nn.Tanh(), Root(), nn.Linear(8, 2))
    model[0].bias.data = torch.tensor([-90.0, *[0.5] * 7], dtype=F64)
    model[0].weight.data[0] = 0
    error = refused(model, method)
    assert error.code == "gradient.not_finite"
    assert "2 (Root)" in error.found
    model[0].bias.data[0] = 5.0
    model[0].weight.data *= 0.05
    assert pellucid.explain(model, X, method, target=0).values.isfinite().all()


# --- teeth


def test_every_reason_has_a_test_here() -> None:
    """Codes are gathered from the source, so that a new one without a test is found."""
    import inspect
    import re
    from pathlib import Path

    told = set(re.findall(r'"([a-z]+\.[a-z_]+)"', inspect.getsource(reasons)))
    known = {t for t in told if not t.startswith(("rules.", "sum.layer", "sum.score"))}
    written = "".join(p.read_text() for p in Path(__file__).parents[1].rglob("test_*.py"))
    assert [c for c in sorted(known) if f'"{c}"' not in written] == []


def test_evidence_alone_makes_its_reasons() -> None:
    found = Found(torch.ones(2), Estimate.exact(torch.ones(2)), units((2,)), 1.0)
    assert [f.code for f in reasons.computed(found)] == []
    seen = replace(found, evidence=Evidence(rows_interact=True, isolation="guard"))
    assert [f.code for f in reasons.computed(seen)] == ["rows.interact", "isolation.guard"]
