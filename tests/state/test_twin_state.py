"""Building a twin leaves nothing behind, follows the weights, and dies with the model."""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pellucid
from pellucid.engine import agreement, memory, tuning
from pellucid.engine.twin import state
from pellucid.testing.faults import KINDS, FailAt
from pellucid.testing.pristine import pristine
from pellucid.testing.toys import toy
from pellucid.words.errors import PellucidError

FOLDED = "folded 1, channels-last"


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "half_on", lambda device: "")


def told(subject: Any, x: Tensor, precision: str = "fast", **options: Any) -> Any:
    return pellucid.explain(subject, x, "input_x_gradient", target=1, precision=precision, **options)


# --- faults

def test_a_fault_at_any_operation_of_building_and_proving_leaves_nothing() -> None:
    """Operations of a first question in turn; afterwards the same subject is asked again and answers right.

    Every seventh one, and all of them where PELLUCID_FULL is set (`make laws`).
    """
    on = toy("residual")
    own = told(on.model, on.x, "exact")
    count = FailAt()
    with count:
        told(on.subject(), on.x)
    fired, step = 0, 1 if os.environ.get("PELLUCID_FULL") else 7
    for at in range(0, count.operations, step):
        kind, subject = KINDS[at % len(KINDS)], on.subject()
        with pristine(on.model, on.x), suppress(kind, PellucidError), (fault := FailAt(at, kind)):
            told(subject, on.x)
        fired += fault.fired
        if at % 28 == 0:
            again = told(subject, on.x)
            assert float((again.values - own.values).abs().max()) <= 1e-5 * float(own.values.abs().max()), (at, kind)
    assert fired == -(-count.operations // step) > 150 // step


def test_ctrl_c_between_two_lines_while_it_is_built() -> None:
    on = toy("cnn")

    def interrupted(at: int) -> int:
        seen = 0

        def profile(frame: Any, event: str, argument: Any) -> None:
            nonlocal seen
            if event == "call" and any(f"engine/{name}.py" in frame.f_code.co_filename for name in
                                       ("tuning", "twin", "folding", "agreement")):
                seen += 1
                if seen == at:
                    raise KeyboardInterrupt
        with pristine(on.model, on.x):
            sys.setprofile(profile)
            try:
                told(on.subject(), on.x)
            except KeyboardInterrupt:
                return -1
            finally:
                sys.setprofile(None)
        return seen

    calls = interrupted(0)
    places = random.Random(4).sample(range(1, calls), 25)
    assert [interrupted(at) for at in places] == [-1] * 25


def test_memory_that_runs_out_while_it_is_built_is_no_reason_for_ever() -> None:
    on = toy("cnn")
    subject = on.subject()
    building = tuning.built

    def full(*args: Any) -> Any:
        raise torch.OutOfMemoryError("planted by a test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "built", full)
        e = told(subject, on.x)
        assert (e.evidence.twin, e.evidence.untuned) == (None, "OutOfMemoryError while it was built")
    assert tuning.built is building
    assert told(subject, on.x).evidence.twin == FOLDED


# --- the weights it stands for

def _in_place(model: nn.Module) -> None:
    with torch.no_grad():
        model.get_parameter("features.0.weight").mul_(1.1)


def _step(model: nn.Module) -> None:
    optimiser = torch.optim.SGD(model.parameters(), 0.05)
    model(toy("cnn").x).sum().backward()
    optimiser.step()


def _load(model: nn.Module) -> None:
    model.load_state_dict(toy("cnn", seed=9).model.state_dict())


def _data(model: nn.Module) -> None:
    model.get_parameter("features.4.weight").data[2] = 0


def _order(model: nn.Module) -> None:
    weight = model.get_parameter("features.0.weight").data
    weight.copy_(weight.flip(0))


def _statistics(model: nn.Module) -> None:
    model.train()(toy("cnn").make(4).repeat(3, 1, 1, 1))
    model.eval()


def _other_data(model: nn.Module) -> None:
    weight = model.get_parameter("features.0.weight")
    weight.data = weight.data + 0.1


def _other_module(model: nn.Module) -> None:
    model.get_submodule("features")[1] = nn.BatchNorm2d(6).eval()  # pyright: ignore[reportIndexIssue]


def _setting(model: nn.Module) -> None:
    norm = model.get_submodule("features")[1]  # pyright: ignore[reportIndexIssue]
    norm.eps = 1.0


def _hook(model: nn.Module) -> None:
    model.get_submodule("features.4").register_forward_hook(lambda module, args, output: 2 * output)


@pytest.mark.parametrize("written", [_in_place, _step, _load, _data, _order, _statistics, _other_data, _other_module,
                                     _setting, _hook])
def test_a_model_that_was_written_gets_a_new_twin(written: Callable[[nn.Module], None]) -> None:
    on = toy("cnn")
    subject = on.subject()
    before = told(subject, on.x)
    written(on.model)
    after, own = told(subject, on.x), told(on.model, on.x, "exact")
    assert before.evidence.twin == after.evidence.twin == FOLDED
    assert float((after.values - own.values).norm()) <= 1e-5 * float(own.values.norm())
    assert float((before.values - own.values).norm()) > 1e-3 * float(own.values.norm())
    held = [v for v in subject.facts.values() if isinstance(v, tuning.Twin)]
    assert [t.weights for t in held] == [state(on.model)], "no twin of old weights is kept"


class _Configured(nn.Module):
    """Multiplies its output by a number that no version counter sees."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.settings = toy("cnn").model, {"scales": [1.0]}

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * self.settings["scales"][0]


def test_a_number_inside_a_setting_is_seen_by_the_next_run() -> None:
    model, x = _Configured().eval(), toy("cnn").x
    subject = pellucid.wrap(model)
    before = told(subject, x)
    model.settings["scales"][0] = 3.0
    after, again = told(subject, x), told(subject, x)
    for e in (after, again):
        torch.testing.assert_close(e.values, 3 * before.values, rtol=1e-4, atol=1e-6)
        assert e.score == pytest.approx(3 * before.score, rel=1e-5)
    assert before.evidence.twin == again.evidence.twin == FOLDED
    assert after.evidence.twin is None, "the run that finds it out is answered by the model itself"


def test_the_weights_are_never_the_twins_own() -> None:
    """The new weights are new tensors; the rest share storage with the model, and nothing refers to it."""
    on = toy("residual")
    subject = on.subject()
    told(subject, on.x)
    twin = next(v for v in subject.facts.values() if isinstance(v, tuning.Twin)).model
    assert twin is not None
    mine = {p.untyped_storage().data_ptr() for p in on.model.parameters()}
    assert twin.get_parameter("stem.weight").untyped_storage().data_ptr() not in mine
    assert twin.get_parameter("head.weight").untyped_storage().data_ptr() in mine
    assert not any(p.requires_grad for p in twin.parameters())


def test_shapes_share_the_new_weights_and_everything_dies_with_the_model() -> None:
    model = toy("cnn").model
    for side in (12, 16, 20):
        told(model, torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(side)))
    gc.collect()
    twins = [o for o in gc.get_objects() if type(o) is tuning.Twin]
    assert len({id(t.model) for t in twins}) < len(twins) >= 3
    made = weakref.ref(next(t.model for t in twins if t.model is not None))
    watched = weakref.ref(model)
    del twins, model
    gc.collect()
    assert watched() is None
    assert made() is None


def test_four_threads_with_twins_get_the_numbers_of_one() -> None:
    on = toy("cnn")
    subject = on.subject()
    alone = [told(on.model, on.make(k)).values for k in range(4)]
    found: dict[int, list[Tensor]] = {}
    errors: list[BaseException] = []

    def work(k: int) -> None:
        try:
            found[k] = [told(subject, on.make(k)).values for _ in range(6)]
        except BaseException as error:
            errors.append(error)

    with pristine(on.model):
        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    for k in range(4):
        assert all(torch.equal(v, alone[k]) for v in found[k])


def test_a_budget_holds_while_the_twin_is_proved() -> None:
    """One row fits, and in float64 it does not."""
    on = toy("cnn")
    ask: Any = {"method": "occlusion", "features": "patches:4"}
    row = pellucid.explain(on.subject(), on.x, **ask, precision="exact", chunk=1).evidence.peak_bytes or 0
    tight = int(1.4 * memory.SAFETY * row)
    subject = on.subject()  # what one budget had no room for is no reason for the next
    for budget, twin, why in ((tight, None, "the budget has no room for the proof"), (10_000_000, FOLDED, "")):
        e = pellucid.explain(subject, on.x, **ask, precision="fast", budget=budget)
        assert (e.evidence.twin, e.evidence.untuned) == (twin, why)


class _WritesLarge(nn.Module):
    """Writes into its input where that is large."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        if float(x.detach().mean()) > 3:
            x.mul_(0.3).add_(0.5)
        return self.inner(x)


def test_rows_that_the_twin_wrote_into_are_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin's answers are refused after it wrote: the model must get the rows as they were."""
    on = toy("cnn")
    monkeypatch.setattr(agreement, "refused", lambda found, half: "by this test")
    model, large = _WritesLarge(on.model).eval(), on.x.abs() + 10
    ask: Any = {"method": "occlusion", "features": "patches:2", "target": 1}
    own = pellucid.explain(model, large, **ask, strict=True)
    subject = pellucid.wrap(model)
    pellucid.explain(subject, large / 100, "input_x_gradient", target=1, precision="exact")
    found = pellucid.explain(subject, large, **ask, precision="fast")
    assert "by this test" in found.evidence.untuned
    assert float((found.values - own.values).abs().max()) <= 1e-4 * float(own.values.abs().max())


# --- what is told

def test_the_evidence_is_told_and_kept(tmp_path: Path) -> None:
    on = toy("cnn")
    e = told(on.model, on.x)
    assert e.evidence.precision == "fast"
    assert set(e.evidence.agreement) == {"structure", "score", "spread", "gradient", "cosine"}
    e.save(tmp_path / "why.pellucid")
    kept = pellucid.open(tmp_path / "why.pellucid").evidence
    assert (kept.twin, kept.agreement, kept.precision) == (FOLDED, e.evidence.agreement, "fast")
    line = "answered by: a faster copy of the model (folded 1, channels-last): scores apart by"
    assert line in " ".join(e.text().split())
    assert "计算者：模型的加速副本（folded 1, channels-last）：得分最大相差" in e.text(lang="zh", width=200)
    plain = told(on.model, on.x, "auto")
    assert "answered by" not in plain.text()
    page, chinese = tmp_path / "why.html", tmp_path / "zh.html"
    pellucid.report([e, plain], page)
    pellucid.report([e, plain], chinese, lang="zh")
    assert "a faster copy of the model (folded 1, channels-last)" in page.read_text()
    assert "the model&#x27;s own layers (too few rows to pay for the proof)" in page.read_text().replace("'", "&#x27;")
    assert "模型自身的层" in chinese.read_text()


def test_a_precision_that_does_not_exist_is_refused() -> None:
    on = toy("cnn")
    with pytest.raises(PellucidError, match=r"precision='fat'[\s\S]*exact, auto, fast") as found:
        told(on.model, on.x, "fat")
    assert found.value.code == "option.value"
    assert "fast" in str(found.value)
