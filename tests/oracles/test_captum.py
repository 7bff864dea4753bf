"""Values against captum 0.9.0, where its formula is the paper's (its known faults are left out)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from captum import attr
from oracle_nets import Recurrent, Residual, ViT, cnn, minilm, mlp, normal, settled
from torch import Tensor, nn

import pellucid

F32, F64 = torch.float32, torch.float64
AT_SAME_POINTS = {F32: 1e-5, F64: 1e-8}
pytestmark = pytest.mark.filterwarnings("ignore:Setting forward, backward hooks and attributes:UserWarning",
                                        "ignore:Input Tensor . did not already require gradients:UserWarning")


@dataclass(frozen=True)
class Toy:
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    layers: tuple[str, ...] = ()
    cams: tuple[str, ...] = ()

    def at(self, dtype: torch.dtype) -> tuple[nn.Module, Tensor, Tensor]:
        net = settled(self.make(), 1, dtype)
        return net, normal(3, *self.shape, seed=1, dtype=dtype), normal(*self.shape, seed=2, dtype=dtype)


TOYS = {
    "mlp": Toy(mlp, (6,), ("0", "2")),
    "cnn": Toy(cnn, (3, 12, 12), ("0", "4", "7"), ("0", "1", "4", "5", "6")),
    "residual": Toy(Residual, (3, 8, 8), ("stem", "block1"), ("stem", "block1.norm1", "block1", "block2")),
    "vit": Toy(ViT, (3, 12, 12), ("patch", "blocks.0")),
    "lstm": Toy(Recurrent, (5, 4), ("embed",)),
}
every_toy = pytest.mark.parametrize("toy", TOYS)
both = pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])


def equal(ours: list[Any], theirs: Tensor, of: str = "elements", tolerance: float = 0.0) -> None:
    """Relative to the largest value: a zero is as good as its neighbours allow."""
    got = torch.stack([getattr(e, of) for e in ours])
    theirs = theirs.detach().reshape(got.shape)
    assert got.dtype == theirs.dtype
    assert float((got - theirs).abs().max()) <= tolerance * float(theirs.abs().max())


def rounding(dtype: torch.dtype) -> float:
    """What sums in another order may change: a row alone and in a batch take other kernels."""
    return 3e-6 if dtype == F32 else 1e-14


@every_toy
@both
def test_saliency_is_captums(toy: str, dtype: torch.dtype) -> None:
    net, x, _ = TOYS[toy].at(dtype)
    ours = pellucid.explain(net, x, "saliency", target=1)
    equal(ours, attr.Saliency(net).attribute(x.clone(), target=1), tolerance=rounding(dtype))
    signed = pellucid.explain(net, x, "saliency", target=1, absolute=False)
    equal(signed, attr.Saliency(net).attribute(x.clone(), target=1, abs=False), tolerance=rounding(dtype))


@every_toy
def test_input_times_gradient_is_captums(toy: str) -> None:
    net, x, _ = TOYS[toy].at(F64)
    ours = pellucid.explain(net, x, "input_x_gradient", target=[0, 1, 2])
    equal(ours, attr.InputXGradient(net).attribute(x.clone(), target=[0, 1, 2]), tolerance=rounding(F64))


@every_toy
@both
def test_integrated_gradients_at_the_same_points_are_captums(toy: str, dtype: torch.dtype) -> None:
    net, x, base = TOYS[toy].at(dtype)
    ours = pellucid.explain(net, x, "integrated_gradients", target=2, baseline=base, steps=50)
    theirs = attr.IntegratedGradients(net).attribute(x, base[None], target=2, n_steps=50, method="gausslegendre")
    equal(ours, theirs.to(dtype), tolerance=AT_SAME_POINTS[dtype])


@pytest.mark.parametrize(("toy", "layer"), [(t, layer) for t in TOYS for layer in TOYS[t].layers])
@both
def test_integrated_gradients_inside_a_layer_are_captums(toy: str, layer: str, dtype: torch.dtype) -> None:
    net, x, base = TOYS[toy].at(dtype)
    ours = pellucid.explain(net, x, "inside(integrated_gradients)", layer=layer, target=2, baseline=base, steps=50)
    theirs = attr.LayerIntegratedGradients(net, net.get_submodule(layer)).attribute(
        x, base[None].expand_as(x), target=2, n_steps=50)
    equal(ours, theirs.to(dtype), "values", AT_SAME_POINTS[dtype])


@pytest.mark.parametrize(("toy", "layer"), [(t, layer) for t in TOYS for layer in TOYS[t].layers])
def test_activation_times_gradient_inside_a_layer_is_captums(toy: str, layer: str) -> None:
    net, x, _ = TOYS[toy].at(F64)
    ours = pellucid.explain(net, x, "inside(input_x_gradient)", layer=layer, target=0)
    theirs = attr.LayerGradientXActivation(net, net.get_submodule(layer)).attribute(x, target=0)
    equal(ours, theirs, "values", rounding(F64))


@pytest.mark.parametrize(("toy", "layer"), [(t, layer) for t in TOYS for layer in TOYS[t].cams])
@both
def test_grad_cam_is_captums_at_native_size_without_relu(toy: str, layer: str, dtype: torch.dtype) -> None:
    net, x, _ = TOYS[toy].at(dtype)
    ours = pellucid.explain(net, x, "grad_cam", layer=layer, target=3)
    theirs = attr.LayerGradCam(net, net.get_submodule(layer)).attribute(x, target=3)
    equal(ours, theirs, "values", rounding(dtype))
    assert tuple(ours[0].values.shape) == tuple(theirs.shape[2:])


@every_toy
@both
def test_ablation_of_single_elements_is_captums(toy: str, dtype: torch.dtype) -> None:
    net, x, base = TOYS[toy].at(dtype)
    ours = pellucid.explain(net, x, "ablation", target=1, baseline=base, features="units")
    theirs = attr.FeatureAblation(net).attribute(x, base[None], target=1, perturbations_per_eval=16)
    scale = float(net(x).detach().abs().max() / theirs.abs().max())  # differences of scores keep the scores' rounding
    equal(ours, theirs.to(dtype), "values", scale * rounding(dtype))


def test_ablation_of_groups_is_captums_once_per_group() -> None:
    net, x, base = TOYS["cnn"].at(F64)
    mask = torch.arange(12)[:, None] // 3 * 3 + torch.arange(12)[None] // 4
    ours = pellucid.explain(net, x, "ablation", target=1, baseline=base, features=mask)
    theirs = attr.FeatureAblation(net).attribute(x, base[None], target=1, feature_mask=mask[None, None])
    for k, e in enumerate(ours):
        for group in range(12):
            at = theirs[k][:, mask == group].unique()  # captum puts the whole value on every element
            assert float(e.values[group]) == pytest.approx(float(at[0]), abs=1e-13)


@pytest.mark.parametrize(("window", "stride"), [(3, 3), ((3, 5), (2, 4)), ((5, 5), (5, 3)), ((1, 12), (1, 1))])
@both
def test_occlusion_is_captums_with_the_same_windows(window: Any, stride: Any, dtype: torch.dtype) -> None:
    net, x, base = TOYS["cnn"].at(dtype)
    ours = pellucid.explain(net, x, "occlusion", target=4, baseline=base, features="pixels", window=window,
                            stride=stride)
    h, w = (window, window) if isinstance(window, int) else window
    down, across = (stride, stride) if isinstance(stride, int) else stride
    theirs = attr.Occlusion(net).attribute(x, (3, h, w), (3, down, across), base[None], target=4,
                                           perturbations_per_eval=8)
    # captum keeps its sums over windows in float32 whatever the model computes in.
    scale = float(net(x).detach().abs().max() / theirs.abs().max())
    equal(ours, theirs[:, 0].to(dtype), "values", 2 * scale * rounding(F32))  # every channel says the same


def test_occlusion_over_time_steps_is_captums() -> None:
    net, x, base = TOYS["lstm"].at(F64)
    steps = torch.arange(5)[:, None].expand(5, 4).contiguous()
    ours = pellucid.explain(net, x, "occlusion", target=0, baseline=base, features=steps, window=2, stride=1)
    theirs = attr.Occlusion(net).attribute(x, (2, 4), (1, 4), base[None], target=0)
    equal(ours, theirs[:, :, 0].to(F64), "values", 1e-6)


def test_kernel_shap_agrees_with_captums_within_the_error_that_captum_makes() -> None:
    """captum samples even where all coalitions are few: with 2000 draws it comes within 0.5 % of the exact values."""
    net, x, base = TOYS["mlp"].at(F64)
    ours = pellucid.explain(net, x[:1], "kernel_shap", target=1, baseline=base)
    torch.manual_seed(0)
    theirs = attr.KernelShap(net).attribute(x[:1], base[None], target=1, n_samples=2000)[0]
    assert float((ours[0].values if isinstance(ours, list) else ours.values).sub(theirs).norm()) <= 0.02 * float(
        theirs.norm())


@pytest.mark.parametrize("method", ["integrated_gradients", "input_x_gradient", "saliency"])
def test_token_attributions_at_the_word_embedding_are_captums(method: str, vision: bool) -> None:
    """A real MiniLM: the words' vectors are explained, positions and mask stay as they are."""
    model, tokenizer = minilm()
    subject = pellucid.wrap(model, tokenizer=tokenizer)
    text = "The waiter was friendly, but we waited two hours for soup."
    ids = tokenizer(text, return_tensors="pt")
    masked = ids["input_ids"].clone()
    masked[0, 1:-1] = tokenizer.mask_token_id

    def score(ids: Tensor, mask: Tensor) -> Tensor:
        return model(input_ids=ids, attention_mask=mask).logits

    extra = ids["attention_mask"]
    embedding = model.bert.embeddings.word_embeddings
    options: dict[str, Any] = {"integrated_gradients": {"steps": 50}, "saliency": {"absolute": False}}.get(method, {})
    e = pellucid.explain(subject, text, method, target=2, features="tokens", **options)
    if method == "integrated_gradients":
        theirs = attr.LayerIntegratedGradients(score, embedding).attribute(
            ids["input_ids"], masked, target=2, additional_forward_args=(extra,), n_steps=50, internal_batch_size=25)
    elif method == "input_x_gradient":
        theirs = attr.LayerGradientXActivation(score, embedding).attribute(
            ids["input_ids"], target=2, additional_forward_args=(extra,))
    else:
        rows = embedding(ids["input_ids"]).detach().requires_grad_()
        handle = embedding.register_forward_hook(lambda m, a, out: rows)
        (theirs,) = torch.autograd.grad(score(ids["input_ids"], extra)[0, 2], rows)
        handle.remove()
    equal([e], theirs.float(), tolerance=2e-5)
    torch.testing.assert_close(e.values, theirs.float().sum(-1)[0, 1:-1], rtol=1e-4, atol=1e-6)


def test_word_values_are_the_sums_of_captums_token_values(vision: bool) -> None:
    model, tokenizer = minilm()
    subject = pellucid.wrap(model, tokenizer=tokenizer)
    text = "unbelievably bad service"
    options = {"target": 0, "steps": 20}
    tokens = pellucid.explain(subject, text, "integrated_gradients", features="tokens", **options)
    words = pellucid.explain(subject, text, "integrated_gradients", features="words", **options)
    assert words.names == ("unbelievably", "bad", "service")
    cut = len(tokens.values) - 2
    torch.testing.assert_close(words.values[0], tokens.values[:cut].sum())
    torch.testing.assert_close(words.values[1:], tokens.values[cut:])
