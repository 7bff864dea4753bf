"""heads(): without a head is without its slice of the projection; two made equal are found; pruned copies agree."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset

import pellucid
from pellucid.changes.ablate import Head, HeadsOff
from pellucid.engine.run import run
from pellucid.heads import case_of
from pellucid.models.module import wrap
from pellucid.numbers.heads import correlations, divergences
from pellucid.numbers.ranking import lots
from pellucid.testing.pristine import pristine
from pellucid.words.ask import Ask
from pellucid.words.errors import PellucidError
from pellucid.words.points import AsIs
from pellucid.words.target import Class
from tests.look.bred import Attending, pictures, seeded, trained

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Encoder(nn.Module):
    """torch's own attention of many heads."""

    def __init__(self, weights: bool = False, batch_first: bool = True) -> None:
        super().__init__()
        self.weights, self.first = weights, batch_first
        self.attn, self.head = nn.MultiheadAttention(24, 4, batch_first=batch_first), nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2)[..., :3].repeat(1, 1, 8)
        x = x if self.first else x.transpose(0, 1)
        x = x + self.attn(x, x, x, need_weights=self.weights)[0]
        return self.head((x if self.first else x.transpose(0, 1)).mean(1))


def bert() -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig(vocab_size=40, hidden_size=24, num_hidden_layers=2, num_attention_heads=4,
                            intermediate_size=32, max_position_embeddings=16, num_labels=3,
                            initializer_range=0.3)
        return BertForSequenceClassification(config).eval()


def vit() -> Any:
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=2, embed_dim=24, num_heads=4,
                                 num_classes=4, pretrained=False).eval()


def torchvision_vit() -> Any:
    from torchvision.models import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VisionTransformer(16, 8, 2, 4, 24, 32, num_classes=4).eval()
        nn.init.normal_(model.heads.head.weight)
        return model


def made(kind: str) -> tuple[nn.Module, Any]:
    """A model and inputs for it, by name."""
    generator = lots(4)
    if kind == "bert":
        ids = torch.randint(1, 40, (6, 9), generator=generator)
        subject = wrap(bert(), site="bert.embeddings.word_embeddings")
        return subject, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}  # type: ignore[return-value]
    size = {"timm": 32, "torchvision": 16}.get(kind, 8)
    x = torch.randn(6, 3, size, size, generator=generator)
    models: dict[str, Any] = {
        "timm": vit, "torchvision": torchvision_vit, "torch": lambda: seeded(Encoder, 0).eval(),
        "torch weights": lambda: Encoder(True).eval(), "torch rows second": lambda: Encoder(True, False).eval(),
        "own": lambda: seeded(Attending, 0).eval()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return models[kind](), x


KINDS = ("bert", "timm", "torchvision", "torch", "torch weights", "torch rows second", "own")


def module_of(model: Any) -> nn.Module:
    return model.module if isinstance(model, pellucid.Subject) else model


def output(model: Any, x: Any) -> Tensor:
    with torch.no_grad():
        said = module_of(model)(**x) if isinstance(x, dict) else module_of(model)(x)
    return getattr(said, "logits", said)


def projection(model: nn.Module, layer: str) -> nn.Linear:
    """The layer that reads what the heads of an attention say, found by hand."""
    module = model.get_submodule(layer)
    if layer.endswith(".self"):
        return model.get_submodule(layer.removesuffix("self") + "output.dense")  # type: ignore[return-value]
    return module.proj if hasattr(module, "proj") else module.out_proj


# --- the closed form

@pytest.mark.parametrize("kind", KINDS)
def test_without_a_head_is_zeros_in_its_slice_of_the_projection(kind: str, vision: bool) -> None:
    model, x = made(kind)
    # in float64: in float32 processors differ by more than what is to be seen
    x = x.double() if isinstance(x, Tensor) and x.is_floating_point() else x
    subject = model if isinstance(model, pellucid.Subject) else wrap(model)
    subject.module.double()
    found = pellucid.heads(subject, x, compare=0, gradient=False)
    layer, of = found.names[-2][0], 4
    by_hand = copy.deepcopy(subject.module)
    with torch.no_grad():
        weight = projection(by_hand, layer).weight
        wide = weight.shape[1] // of
        weight[:, 2 * wide : 3 * wide] = 0
    change = HeadsOff((Head(f"{layer}:attention", 2, of),))
    rows = subject.split(x)
    assert rows is not None
    for k, row in enumerate(rows):
        case = case_of(subject.read(row), Class(1)).under(change)

        async def ask(case: Any = case) -> Any:
            return await Ask("score", case, AsIs())

        with pristine(subject.module):
            (score,), _ = run(subject.module, [ask()])
        one = {n: v[k : k + 1] for n, v in x.items()} if isinstance(x, dict) else x[k : k + 1]
        assert float(score) == pytest.approx(float(output(by_hand, one)[0, 1]), rel=1e-9, abs=1e-9)
        assert abs(float(score) - float(output(subject, one)[0, 1])) > 1e-5  # and it does something
    at = list(found.names).index((layer, 2))
    clean, without = output(subject, x).double(), output(by_hand, x).double()
    best = clean.argmax(1, keepdim=True)
    assert float(found.importance["score"].values[at]) == pytest.approx(
        float((clean - without).gather(1, best).mean()), abs=1e-5)
    assert float(found.importance["changed"].values[at]) == pytest.approx(
        float((without.argmax(1) != best[:, 0]).double().mean()))


def test_with_its_mean_a_head_says_that_mean() -> None:
    net, x = trained(Attending, 0), pictures(5)[0]
    said: list[Tensor] = []
    net.blocks[1].proj.register_forward_pre_hook(lambda m, args: said.append(args[0].detach()))
    with torch.no_grad():
        net(x)
    mean = said[0][..., 6:12].mean((0, 1))  # head 1 of width 6
    by_hand = copy.deepcopy(net)
    by_hand.blocks[1].proj._forward_pre_hooks.clear()
    net.blocks[1].proj._forward_pre_hooks.clear()
    by_hand.blocks[1].proj.register_forward_pre_hook(
        lambda m, args: (torch.cat([args[0][..., :6], mean.expand(*args[0].shape[:2], 6), args[0][..., 12:]], -1),))
    found = pellucid.heads(net, x, ablation="mean", compare=0, gradient=False)
    clean, without = output(net, x).double(), output(by_hand, x).double()
    best = clean.argmax(1, keepdim=True)
    at = list(found.names).index(("blocks.1", 1))
    assert float(found.importance["score"].values[at]) == pytest.approx(
        float((clean - without).gather(1, best).mean()), abs=1e-5)


def test_attention_stays_fused_where_a_head_is_silent_too() -> None:
    class Listed(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            names.append(func.name())
            return func(*args, **(kwargs or {}))

    net, x, names = trained(Attending, 0, 0), pictures(1)[0], list[str]()
    with torch.no_grad(), HeadsOff((Head("blocks.0:attention", 0, 4),)).on(net), Listed():
        net(x)
    assert sum("scaled_dot_product" in n for n in names) == 3
    assert not any("softmax" in n for n in names)


def test_importance_by_gradient_is_the_slope_of_a_factor_before_the_head() -> None:
    net, (x, y) = trained(Attending, 0), pictures(4)
    found = pellucid.heads(net, x, y, ablation="none", compare=0)
    true = []
    for k in range(4):
        factor = torch.ones(4, requires_grad=True)
        net.blocks[2].proj.register_forward_pre_hook(
            lambda m, args, f=factor: (args[0] * f.repeat_interleave(6),))
        loss = F.cross_entropy(net(x[k : k + 1]), y[k : k + 1])
        true.append(torch.autograd.grad(loss, factor)[0].abs())
        net.blocks[2].proj._forward_pre_hooks.clear()
    mine = found.importance["gradient"].values[[k for k, (n, _) in enumerate(found.names) if n == "blocks.2"]]
    torch.testing.assert_close(mine, torch.stack(true).mean(0).double(), rtol=1e-4, atol=1e-7)


def test_labels_give_accuracy_and_loss_with_intervals() -> None:
    net, (x, y) = trained(Attending, 0), pictures(40, 5)
    found = pellucid.heads(net, DataLoader(TensorDataset(x, y), batch_size=16), compare=0, gradient=False)
    assert found.inputs == 40
    assert found.accuracy is not None
    assert found.accuracy.value == pytest.approx(float((output(net, x).argmax(1) == y).double().mean()))
    assert found.loss is not None
    assert found.loss.value == pytest.approx(float(F.cross_entropy(output(net, x), y)), rel=1e-5)
    by_hand = copy.deepcopy(net)
    with torch.no_grad():
        by_hand.blocks[0].proj.weight[:, 6:12] = 0
    rows = F.cross_entropy(output(by_hand, x), y, reduction="none") - F.cross_entropy(output(net, x), y,
                                                                                      reduction="none")
    loss, at = found.importance["loss"], list(found.names).index(("blocks.0", 1))
    assert float(loss.values[at]) == pytest.approx(float(rows.mean()), abs=1e-6)
    assert float(loss.error[at]) == pytest.approx(float(rows.std() / 40**0.5), abs=1e-6)
    low, high = loss.interval()
    assert bool(((low <= loss.values) & (loss.values <= high)).all())
    still = found.importance["changed"].values == 0
    assert bool(still.any())
    assert found.importance["changed"].interval()[1][still].tolist() == pytest.approx(  # the rule of three
        [1 - 0.05 ** (1 / 40)] * int(still.sum()))


# --- how alike

def test_likeness_by_hand() -> None:
    p = torch.softmax(torch.randn(3, 5, 7, generator=lots(0)), -1)
    heads = [p[0], p[0].clone(), p[1], p[2].flip(-1), torch.full((5, 7), 1 / 7), torch.rand(5, 6)]
    r, d = correlations(heads), divergences(heads)
    assert float(r[0, 1]) == pytest.approx(1)
    assert float(d[0, 1]) == pytest.approx(0, abs=1e-4)
    apart = [(h - h.mean(-1, keepdim=True)).double().flatten() for h in heads[:4]]
    assert float(r[0, 2]) == pytest.approx(float(apart[0] @ apart[2] / apart[0].norm() / apart[2].norm()))
    middle = (p[0] + p[1]) / 2
    js = ((p[0] * (p[0] / middle).log2()).sum(-1) + (p[1] * (p[1] / middle).log2()).sum(-1)) / 2
    assert float(d[0, 2]) == pytest.approx(float(js.sqrt().mean()), abs=1e-5)
    assert bool(r[4].isnan().all())  # what looks at all alike is like nothing
    assert bool(d[5, :5].isnan().all())


@pytest.mark.parametrize("seed", range(3))
def test_two_heads_made_equal_are_found_and_no_others(seed: int) -> None:
    net, x = trained(Attending, seed), pictures(16, seed)[0]
    assert pellucid.heads(net, x, ablation="none").findings == ()
    with torch.no_grad():
        for t in (net.blocks[1].qkv.weight, net.blocks[1].qkv.bias):
            for part in (0, 24):  # queries and keys of head 3 as those of head 1
                t[part + 18 : part + 24] = t[part + 6 : part + 12]
    found = pellucid.heads(net, x, ablation="none")
    assert [(f.code, f.facts["list"]) for f in found.findings] == [("heads.same", "blocks.1[1], blocks.1[3]")]
    assert found.divergence is not None
    assert "blocks.1[3]" in found.text()
    assert "头" in found.text(lang="zh")
    assert "<svg" in found.svg()


def test_healthy_heads_tell_nothing(vision: bool) -> None:
    for seed in range(4):
        for steps in (0, 60):
            assert pellucid.heads(trained(Attending, seed, steps), pictures(8, seed)[0],
                                  ablation="none").findings == ()


# --- pruning

@pytest.mark.parametrize("kind", KINDS)
def test_a_pruned_copy_says_what_the_model_without_these_heads_says(kind: str, vision: bool, tmp_path: Path) -> None:
    model, x = made(kind)
    subject = model if isinstance(model, pellucid.Subject) else wrap(model)
    with pristine(subject.module):
        plan = pellucid.heads(subject, x, compare=0, gradient=False).plan(share=0.4)
        pruned = plan.apply()
    by_hand = copy.deepcopy(subject.module)
    with torch.no_grad():
        for layer, head in plan.off:
            weight = projection(by_hand, layer).weight if kind != "own" else by_hand.get_submodule(layer).proj.weight
            wide = weight.shape[1] // 4
            weight[:, head * wide : (head + 1) * wide] = 0
    torch.testing.assert_close(output(pruned.module, x), output(by_hand, x), rtol=0, atol=1e-5)
    assert pruned.masked == ()
    assert pruned.parameters[0] - pruned.parameters[1] == plan.parameters > 0
    pruned.save(tmp_path / "p.safetensors")
    again = pellucid.prune(subject, tmp_path / "p.safetensors")
    assert torch.equal(output(again, x), output(pruned.module, x))
    assert sum(p.numel() for p in again.parameters()) == pruned.parameters[1]


def test_a_build_that_is_not_known_is_masked_and_says_so(vision: bool, tmp_path: Path) -> None:
    subject, xs = pellucid.load("demo:digits-vit"), list(pellucid.samples("digits-vit"))[:3]
    plan = pellucid.heads(subject, xs, compare=0, gradient=False).plan(share=0.3)
    pruned = plan.apply()
    assert pruned.smaller == ()
    assert set(pruned.masked) == set(pruned.reasons) == {layer for layer, _ in plan.off}
    assert pruned.parameters[0] == pruned.parameters[1]
    by_hand = copy.deepcopy(subject.module)
    with torch.no_grad():
        for layer, head in plan.off:
            by_hand.get_submodule(layer).proj.weight[:, 16 * head : 16 * head + 16] = 0
    x = subject.read(xs[0]).carrier.inputs[0]
    torch.testing.assert_close(output(pruned.module, x), output(by_hand, x), rtol=0, atol=1e-5)
    pruned.save(tmp_path / "p.safetensors")
    assert torch.equal(output(pellucid.prune(subject, tmp_path / "p.safetensors"), x), output(pruned.module, x))


def test_a_plan_is_measured_beside_the_model() -> None:
    net, (x, y) = trained(Attending, 1), pictures(80, 9)
    plan = pellucid.heads(net, x[:40], y[:40], compare=0, gradient=False).plan(share=0.5)
    assert len(plan.off) == 6
    measured = plan.measure(x[40:], y[40:])
    pruned = plan.apply()
    before = (output(net, x[40:]).argmax(1) == y[40:]).double()
    after = (output(pruned.module, x[40:]).argmax(1) == y[40:]).double()
    assert measured.before is not None
    assert measured.after is not None
    assert measured.loss is not None
    assert (measured.before.value, measured.after.value) == pytest.approx((float(before.mean()), float(after.mean())))
    assert measured.loss.value == pytest.approx(float((before - after).mean()))
    assert measured.loss.low <= measured.loss.value <= measured.loss.high
    assert measured.loss.low < 0  # of 40 inputs nobody can say that nothing is lost
    assert measured.time.value > 0
    assert measured.parameters == pruned.parameters


def test_a_plan_by_loss_takes_as_many_heads_as_it_foretells_to_be_free() -> None:
    net, (x, y) = trained(Attending, 2), pictures(60, 3)
    found = pellucid.heads(net, x, y, compare=0, gradient=False)
    none, some, all_ = (found.plan(loss=v) for v in (0.0, 0.05, 1.0))
    assert len(none.off) <= len(some.off) <= len(all_.off) == 9  # every attention keeps one
    assert some.loss is not None
    assert some.loss.value <= 0.05
    assert some.labelled
    assert "foretold" in repr(some)


def test_models_whose_outputs_are_no_classes_are_pruned_by_share() -> None:
    net = trained(Attending, 0, 0)
    net.head = nn.Linear(24, 1)
    found = pellucid.heads(net, pictures(4)[0], compare=0)
    assert set(found.importance) == {"gradient", "score"}
    with pytest.raises(PellucidError) as error:
        found.plan(loss=0.1)
    assert error.value.code == "heads.no_classes"
    assert found.plan(share=0.25).apply().module is not net


@gpu
def test_a_model_on_a_gpu_is_told_and_pruned_the_same() -> None:
    net, (x, y) = trained(Attending, 0), pictures(12)
    slow = pellucid.heads(net, x, y)
    fast = pellucid.heads(copy.deepcopy(net).cuda(), x.cuda(), y.cuda())
    for name, value in slow.importance.items():
        torch.testing.assert_close(fast.importance[name].values, value.values, rtol=0, atol=1e-3)
    pruned = fast.plan(share=0.3).apply()
    assert pruned.apart < 1e-4
    assert output(pruned.module, x.cuda()).device.type == "cuda"
