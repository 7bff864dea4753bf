"""What shares passes, what memory allows, and what one bad example costs the others: nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from oracle_nets import Recurrent, Residual, ViT, cnn, mlp, normal, same, settled
from torch import Tensor, nn

import pellucid
from pellucid.catalog import find
from pellucid.engine.run import Loop, isolated, run
from pellucid.engine.settings import Settings
from pellucid.words.case import Carrier, Case
from pellucid.words.errors import Cancelled
from pellucid.words.features import units
from pellucid.words.target import Class

FIVE = ["saliency", "input_x_gradient", "kernel_shap", "ablation", "occlusion"]


class Log(list[Tensor]):
    """Rows that a model was given, pass by pass; copies of the model write into the same one."""

    def __deepcopy__(self, memo: Any) -> Log:
        return self

    def append(self, x: Tensor) -> None:
        """Keep rows; what memory is predicted with has no values and is none."""
        if type(x) is Tensor:
            super().append(x)

    @property
    def rows(self) -> int:
        return sum(len(x) for x in self)


class Watched(nn.Module):
    """A model that writes down its rows, and may refuse more than `most` of them as a full machine does."""

    def __init__(self, inner: nn.Module, most: int = 10**9, refuse: Callable[[], Exception] = MemoryError) -> None:
        super().__init__()
        self.inner, self.log, self.most, self.refuse = inner, Log(), most, refuse

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.most:
            raise self.refuse()
        self.log.append(x.detach().clone())
        return self.inner(x)


# -- sharing

def test_five_methods_together_ask_for_fewer_rows_than_one_after_the_other_and_for_x_once() -> None:
    net, x = Watched(mlp()), normal(1, 6)
    subject = pellucid.wrap(net)
    pellucid.explain(subject, x, FIVE, target=1)  # what is learnt about a model is learnt once
    alone, spent, passes = {}, 0, 0
    for name in FIVE:
        net.log.clear()
        alone[name] = pellucid.explain(subject, x, name, target=1)
        assert net.log.rows == alone[name].evidence.forwards
        spent, passes = spent + net.log.rows, passes + len(net.log)
    net.log.clear()
    together = pellucid.explain(subject, x, FIVE, target=1)
    assert net.log.rows == together["saliency"].evidence.forwards
    assert net.log.rows == spent - 4, "x is asked once instead of five times"
    assert len(net.log) < passes
    assert sum(int((rows == x).all(1).sum()) for rows in net.log) == 1
    assert sum(int((rows == 0).all(1).sum()) for rows in net.log) == 1
    for name in FIVE:
        same(together[name], alone[name])


def test_many_examples_share_one_pass_each_with_its_own_prediction() -> None:
    net, x = Watched(mlp()), normal(40, 6)
    subject = pellucid.wrap(net)
    pellucid.explain(subject, x, "saliency")
    net.log.clear()
    found = pellucid.explain(subject, x, "saliency")
    assert [len(rows) for rows in net.log] == [40]
    best = net.inner(x).argmax(1)
    assert len(set(best.tolist())) > 1
    assert [e.target for e in found] == [f"class {k}" for k in best.tolist()]
    for k in (0, 17, 39):
        same(found[k], pellucid.explain(subject, x[k : k + 1], "saliency"))


@pytest.mark.parametrize("make", [mlp, cnn, Residual, ViT, Recurrent], ids=lambda m: m.__name__)
def test_in_strict_mode_company_changes_no_bit(make: Callable[[], nn.Module]) -> None:
    net = settled(make())
    x = normal(4, *{mlp: (6,), Recurrent: (5, 4), Residual: (3, 8, 8)}.get(make, (3, 12, 12)))  # type: ignore[call-overload]
    names: list[Any] = ["integrated_gradients", "smooth(saliency)", "ablation"]
    alone = {n: pellucid.explain(net, x[2:3], n, target=1, strict=True) for n in names}
    for order in (names, names[::-1]):
        for rows, at in ((x, 2), (x.flip(0), 1), (x[2:3], None)):
            found = pellucid.explain(net, rows, order, target=1, strict=True)
            for name in names:
                e = found[name] if at is None else found[name][at]
                assert torch.equal(e.values, alone[name].values), name
                assert e.score == alone[name].score


def case(x: Tensor, target: int = 1) -> Case:
    return Case(Carrier({0: x[None]}), x, torch.zeros_like(x), units(tuple(x.shape)), Class(target))


def test_three_hundred_conversations_wait_for_their_turn_and_all_are_answered() -> None:
    net, x = mlp(dtype=torch.float64), normal(300, 6, dtype=torch.float64)
    alive, most = 0, 0

    async def counted(x: Tensor) -> Tensor:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        try:
            return (await find("integrated_gradients")(case(x), steps=4)).value
        finally:
            alive -= 1

    found, tally = run(net, (counted(row) for row in x))
    assert (alive, tally.rows) == (0, 300 * 4)
    assert most <= 256
    for k in (0, 255, 256, 299):
        e = pellucid.explain(net, x[k : k + 1], "integrated_gradients", target=1, steps=4)
        torch.testing.assert_close(found[k], e.values)


def test_a_conversation_may_join_and_leave_while_others_run() -> None:
    net, x = mlp(dtype=torch.float64), normal(3, 6, dtype=torch.float64)
    closed: list[int] = []

    async def patient(k: int) -> float:
        try:
            total = 0.0
            for t in (0.25, 0.5, 1.0):
                total += float((await case(x[k]).score(case(x[k]).line(torch.tensor([t]))))[0])
            return total
        finally:
            closed.append(k)

    loop = Loop(net, {}, Settings())
    with torch.no_grad(), isolated(net, {}, loop.tally) as loop.model:
        tickets = [loop.admit(patient(0)), loop.admit(patient(1))]
        loop.round()
        tickets.append(loop.admit(patient(2)))
        tickets[1].cancel()
        assert closed == [1]
        for _ in range(4):
            loop.round()
    true = [sum(float(net(t * row[None])[0, 1]) for t in (0.25, 0.5, 1.0)) for row in x]
    assert tickets[0].result == pytest.approx(true[0], abs=1e-12)
    assert isinstance(tickets[1].result, Cancelled)
    assert tickets[1].result.code == "run.cancelled"
    assert tickets[2].result == pytest.approx(true[2], abs=1e-12)


def test_progress_counts_answered_rows_up_to_all_that_were_asked() -> None:
    heard: list[tuple[int, int]] = []
    e = pellucid.explain(mlp(), normal(1, 6), "kernel_shap", target=0, chunk=7, progress=lambda *n: heard.append(n))
    done = [d for d, _ in heard]
    assert done == sorted(done)
    assert all(d <= of for d, of in heard)
    assert heard[-1] == (e.evidence.rows, e.evidence.rows)
    assert len(set(done)) >= e.evidence.rows // 7


def test_interrupting_from_progress_ends_the_run_and_the_model_can_be_used_again() -> None:
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    net, x = mlp(), normal(1, 6)
    with pytest.raises(KeyboardInterrupt):
        pellucid.explain(net, x, "kernel_shap", target=0, progress=stop)
    same(pellucid.explain(net, x, "ablation", target=0), pellucid.explain(mlp(), x, "ablation", target=0))


# -- memory

def cpu_allocator() -> Exception:
    return RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: "
                        "you tried to allocate 68719476736 bytes. Error code 12 (Cannot allocate memory)")


@pytest.mark.parametrize("refuse", [torch.OutOfMemoryError, MemoryError, cpu_allocator], ids=lambda r: r.__name__)
@pytest.mark.parametrize(("method", "options"), [
    ("kernel_shap", {}), ("integrated_gradients", {"steps": 40}), ("occlusion", {"features": "patches:3"}),
    ("inside(ablation)", {"layer": "inner.4"}), ("smooth(saliency)", {"samples": 20})])
def test_when_memory_runs_out_smaller_passes_give_the_same_values(
    method: str, options: dict[str, Any], refuse: Callable[[], Exception]
) -> None:
    x = normal(1, 3, 12, 12)
    features = {} if method != "kernel_shap" else {"features": "patches:4"}
    free = pellucid.explain(Watched(cnn()), x, method, target=1, **features, **options)
    subject = pellucid.wrap(Watched(cnn(), 3, refuse))
    tight = pellucid.explain(subject, x, method, target=1, **features, **options)
    same(tight, free)
    if method != "inside(ablation)":  # its prefix runs on a single row however many points there are
        assert tight.evidence.retries > 0
        assert max(len(rows) for rows in subject.module.log) <= 3
        again = pellucid.explain(subject, x, method, target=1, **features, **options)
        assert again.evidence.retries == 0, "what fits is remembered"
        same(again, free)


@pytest.mark.parametrize("strict", [False, True])
def test_an_example_for_which_memory_never_suffices_says_so_and_takes_no_other_along(strict: bool) -> None:
    class Picky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = cnn()

        def forward(self, x: Tensor) -> Tensor:
            if x.shape[-1] > 12:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return self.inner(x)

    x = [normal(1, 3, 12, 12), normal(1, 3, 16, 16), normal(1, 3, 10, 10)]
    found = pellucid.explain(Picky(), x, "occlusion", target=0, strict=strict)
    assert found[1].code == "budget.too_small"
    for k in (0, 2):
        same(found[k], pellucid.explain(cnn(), x[k], "occlusion", target=0))


def test_a_small_budget_makes_small_passes_and_the_same_values() -> None:
    x = normal(1, 3, 12, 12)
    options: dict[str, Any] = {"target": 1, "features": "patches:4"}
    free = pellucid.explain(pellucid.wrap(cnn()), x, "kernel_shap", **options)
    for rows in (1, 4, 30):
        net = Watched(cnn())
        held = pellucid.explain(Watched(cnn()), x, "kernel_shap", chunk=rows, **options).evidence.peak_bytes
        tight = pellucid.explain(pellucid.wrap(net), x, "kernel_shap", budget=int(1.7 * held) + 1, **options)
        same(tight, free)
        assert max(len(rows) for rows in net.log) <= rows
        assert rows // 2 < tight.evidence.chunk <= rows


def test_a_budget_below_one_row_is_refused_with_the_bytes_it_would_take() -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(cnn(), normal(1, 3, 12, 12), "kernel_shap", target=1, features="patches:4", budget=500)
    assert error.value.code == "budget.too_small"
    assert "500 bytes" in error.value.found
    need = int(re.sub(r"\D", "", error.value.expected.partition("bytes")[0]))
    x = normal(1, 3, 12, 12)
    enough = pellucid.explain(cnn(), x, "kernel_shap", target=1, features="patches:4", budget=need + 2)
    assert enough.evidence.chunk == 1


# -- one bad example

class Sour(nn.Module):
    """Cannot stand rows whose first value is above 5."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.inner = how, mlp()

    def forward(self, x: Tensor) -> Tensor:
        bad = x[:, :1] > 5
        if self.how == "raises" and bool(bad.any()):
            raise ValueError("a row above 5")
        value = {"nan": float("nan"), "infinity": float("inf"), "raises": 0.0}[self.how]
        return torch.where(bad, value, self.inner(x))


@pytest.mark.parametrize(("how", "code"), [("nan", "output.not_finite"), ("infinity", "output.not_finite"),
                                           ("raises", "model.failed")])
@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "kernel_shap", "occlusion", "grad_cam"])
def test_one_bad_row_loses_nothing_else(method: str, how: str, code: str) -> None:
    options: dict[str, Any] = {"layer": "inner.0"} if method == "grad_cam" else {}
    x = normal(5, 6)
    x[[1, 4], 0] = 9.0
    for target in (None, 2):
        found = pellucid.explain(Sour(how), x, method, target=target, **options) if method != "grad_cam" else (
            pellucid.explain(Sour(how), x, "inside(saliency)", target=target, **options))
        name = "inside(saliency)" if method == "grad_cam" else method
        assert [getattr(e, "code", None) for e in found] == [None, code, None, None, code]
        for k in (0, 2, 3):
            same(found[k], pellucid.explain(mlp(), x[k : k + 1], name, target=target, **(
                {"layer": "0"} if method == "grad_cam" else {})))
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(Sour(how), x[1:2], "saliency")
    assert error.value.code == code


# -- rows that look at each other

class Mixing(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.a, self.b = how, nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.a(x))
        if self.how == "mean over the batch":
            h = h + h.mean(0, keepdim=True)
        if self.how == "previous row":
            h = h + 0.5 * h.roll(1, 0)
        out = self.b(h)
        return out.softmax(0) + out if self.how == "softmax over the batch" else out


@pytest.mark.parametrize("how", ["mean over the batch", "previous row", "softmax over the batch"])
@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "kernel_shap", "inside(ablation)"])
@pytest.mark.parametrize("many", [False, True], ids=["one", "batch"])
def test_rows_that_look_at_each_other_are_found_said_and_asked_alone(how: str, method: str, many: bool) -> None:
    x = normal(3, 6)
    options: dict[str, Any] = {"layer": "a"} if method == "inside(ablation)" else {}
    net = settled(Mixing(how))
    alone = [pellucid.explain(settled(Mixing(how)), row[None], method, target=1, chunk=1, **options) for row in x]
    subject = pellucid.wrap(net)
    for _ in range(2):  # and said again when it is known already
        found = pellucid.explain(subject, x if many else x[:1], method, target=1, **options)
        for e, true in zip(found if many else [found], alone, strict=False):
            same(e, true)
            if many or method != "saliency":  # a single row has no neighbour to look at
                assert e.evidence.rows_interact
                assert "rows.interact" in {f.code for f in e.verdict.findings}
                assert e.verdict.status == "warn"


def test_rows_that_meet_behind_the_first_layer_that_is_read_are_found_too() -> None:
    """The embedding, read first, shows nothing: what looks at its neighbours comes later."""

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.mixing = nn.Embedding(20, 6), Mixing("mean over the batch")

        def forward(self, ids: Tensor) -> Tensor:
            return self.mixing(self.words(ids).mean(1))

    ids, options = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), {"target": 1}
    for method in ("saliency", "integrated_gradients", "ablation"):
        found = pellucid.explain(pellucid.wrap(settled(Words()), site="words"), ids, method, **options)
        for k, e in enumerate(found):
            fresh = pellucid.wrap(settled(Words()), site="words")
            same(e, pellucid.explain(fresh, ids[k : k + 1], method, chunk=1, **options))
            assert e.evidence.rows_interact


def test_short_texts_share_passes_although_their_site_is_a_layer() -> None:
    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.net = nn.Embedding(20, 6), Watched(mlp())

        def forward(self, ids: Tensor) -> Tensor:
            return self.net(self.words(ids).mean(1))

    bag, ids = settled(Bag()), torch.arange(30).reshape(10, 3) % 20
    subject = pellucid.wrap(bag, site="words")
    pellucid.explain(subject, ids, "saliency", target=0)
    bag.net.log.clear()
    found = pellucid.explain(subject, ids, "saliency", target=0)
    assert len(bag.net.log) <= 2
    for k in (0, 9):
        same(found[k], pellucid.explain(pellucid.wrap(bag, site="words"), ids[k : k + 1], "saliency", target=0))


@pytest.mark.parametrize("rows", [0, -1, 2.5, "8"])
def test_a_chunk_without_meaning_is_refused(rows: Any) -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(mlp(), normal(1, 6), "saliency", chunk=rows)
    assert error.value.code == "option.value"
    assert repr(rows) in str(error.value)
