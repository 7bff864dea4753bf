"""Captum's classes and objects as methods: their options, recipes, rows, memory and laws."""

from __future__ import annotations

import copy
import inspect
import json
from typing import Any

import pytest
import torch
from captum import attr
from captum_side import BOX, CONVS, F64, MLP, PICTURE, VECTOR, close, theirs
from oracle_nets import Recurrent, cnn, mlp, normal, settled
from torch import Tensor, nn

import pellucid
from pellucid import catalog
from pellucid.methods import captum_classes
from pellucid.testing.faults import LiveBytes
from pellucid.testing.laws import UNIVERSAL, law
from pellucid.testing.toys import toy
from pellucid.testing.universal import asked

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum.*", "ignore::UserWarning:test_captum_objects")


# --- classes, objects, options, recipes

class Sums(attr.IntegratedGradients):
    """A stranger's class, which writes into the weights that it is given."""

    def attribute(self, inputs: Tensor, baselines: Any = None, target: Any = None, n_steps: int = 3) -> Any:  # type: ignore[override]
        for weight in self.forward_func.parameters():
            weight.data.mul_(2.0)
        return super().attribute(inputs, baselines, target, n_steps=n_steps)


def test_classes_and_objects_are_methods_too() -> None:
    e = pellucid.explain(MLP, VECTOR, "captum:DeepLift", target=2)
    by_class = pellucid.explain(MLP, VECTOR, attr.DeepLift, target=2)
    assert by_class.method == "captum:DeepLift"
    assert torch.equal(by_class.values, e.values)
    bound = pellucid.explain(MLP, VECTOR, attr.DeepLift(MLP, multiply_by_inputs=False, eps=1e-6), target=2)
    assert (bound.recipe["multiply_by_inputs"], bound.recipe["eps"]) == (False, 1e-6)
    assert torch.equal(pellucid.explain(MLP, VECTOR, **bound.recipe).values, bound.values)
    thing = attr.LayerIntegratedGradients(MLP, MLP[2], multiply_by_inputs=False)
    layer = pellucid.explain(MLP, VECTOR, thing, target=2)
    assert (layer.recipe["layer"], layer.recipe["multiply_by_inputs"]) == ("2", False)
    noisy = pellucid.explain(MLP, VECTOR, attr.NoiseTunnel(attr.IntegratedGradients(MLP)), target=2, nt_samples=3)
    assert noisy.method == "captum:NoiseTunnel(IntegratedGradients)"
    both = pellucid.explain(MLP, VECTOR, [attr.Saliency, "captum:InputXGradient"], target=2)
    assert list(both) == ["captum:Saliency", "captum:InputXGradient"]


def test_an_object_is_not_worn_out_and_a_strangers_class_writes_into_a_copy() -> None:
    lime = attr.Lime(MLP)
    before = copy.deepcopy(lime.interpretable_model.__dict__)
    e = pellucid.explain(MLP, VECTOR, lime, target=2, n_samples=30)
    assert lime.interpretable_model.__dict__.keys() == before.keys()
    assert not e.recipe.replayable
    weights = [w.clone() for w in MLP.parameters()]
    e = pellucid.explain(MLP, VECTOR, Sums, target=2)
    assert all(torch.equal(a, b) for a, b in zip(weights, MLP.parameters(), strict=True))
    assert e.method == "captum:Sums"
    assert not e.recipe.replayable


def test_recipes_show_every_default_and_replay() -> None:
    e = pellucid.explain(CONVS, PICTURE, "captum:IntegratedGradients", target=2)
    assert {k: e.recipe[k] for k in ("n_steps", "captum_method", "internal_batch_size", "multiply_by_inputs")} == {
        "n_steps": 50, "captum_method": "gausslegendre", "internal_batch_size": None, "multiply_by_inputs": True}
    again = pellucid.explain(CONVS, PICTURE, **json.loads(json.dumps(dict(e.recipe))))
    assert torch.equal(again.values, e.values)
    rough = pellucid.explain(CONVS, PICTURE, "captum:IntegratedGradients", target=2, captum_method="riemann_left")
    close(rough.elements, theirs("IntegratedGradients", CONVS, PICTURE, method="riemann_left")[0])
    seen = pellucid.explain(CONVS, PICTURE, "captum:Occlusion", target=2, **BOX)
    again = pellucid.explain(CONVS, PICTURE, **json.loads(json.dumps(dict(seen.recipe))))
    assert torch.equal(again.values, seen.values)


def test_every_listed_class_is_captums_and_its_options_are_none_that_explain_takes() -> None:
    taken = set(inspect.signature(pellucid.explain).parameters) - {"options"}
    assert taken == captum_classes.TAKEN
    for name in catalog.families()["captum"]:
        made = catalog.find(f"captum:{name}" + ("(Saliency)" if name == "NoiseTunnel" else ""))
        assert not taken & set(made.defaults)
        assert made.card.paper or name.endswith(("Ablation", "Activation"))
        assert made.summary
    known = {n for n, c in vars(attr).items() if isinstance(c, type) and issubclass(c, attr.Attribution)}
    listed = set(catalog.families()["captum"])
    unfit = {n for n in known - listed if n != "LimeBase"}
    assert listed <= known
    assert all(n in captum_classes.UNFIT or n.endswith("Attribution") for n in unfit)


# --- rows and memory

def test_passes_hold_what_fits_and_what_was_allowed() -> None:
    for name, options in (("IntegratedGradients", {"n_steps": 40}), ("KernelShap", {"n_samples": 40}),
                          ("FeatureAblation", {}), ("LayerConductance", {"n_steps": 40, "layer": "pool"})):
        ask = lambda **how: pellucid.explain(  # noqa: E731
            CONVS, PICTURE, f"captum:{name}", target=2, features="patches:2", **options, **how)  # noqa: B023
        whole, few = ask(), ask(chunk=4)
        assert few.evidence.chunk <= 4 < whole.evidence.chunk
        close(few.values, whole.values, 1e-5)
        assert whole.evidence.rows >= 17
        row = whole.evidence.peak_bytes / whole.evidence.chunk
        tight = ask(budget=int(6 * row))
        assert tight.evidence.chunk < whole.evidence.chunk
        close(tight.values, whole.values, 1e-5)
    given = pellucid.explain(CONVS, PICTURE, "captum:IntegratedGradients", target=2, n_steps=40, internal_batch_size=7)
    assert given.evidence.chunk == 7


def test_samples_take_no_rows_of_memory() -> None:
    """captum keeps the mask and the score of every sample; what the model was given of it, nobody does."""
    peaks: list[int] = []
    for n in (40, 160):
        with LiveBytes() as live:
            pellucid.explain(CONVS, PICTURE, "captum:KernelShap", target=2, features="patches:4", n_samples=n, chunk=4)
        peaks.append(live.peak)
    assert (peaks[1] - peaks[0]) / 120 < 0.5 * PICTURE.numel() * 8


class Greedy(nn.Module):
    """Takes three rows at most."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.head = most, settled(nn.Linear(6, 3), 1)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.head(x)


def test_memory_that_runs_out_halves_the_rows() -> None:
    e = pellucid.explain(Greedy(3), normal(1, 6), "captum:FeatureAblation", target=1)
    assert e.evidence.retries >= 1
    assert e.evidence.chunk <= 3 * 2**4
    close(e.values, pellucid.explain(Greedy(99), normal(1, 6), "captum:FeatureAblation", target=1).values)
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(Greedy(1), normal(1, 6), "captum:DeepLift", target=1)
    assert error.value.code == "budget.too_small"


class Centred(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


def test_rows_that_look_at_each_other_are_scored_alone() -> None:
    on = toy("interacting")
    e = asked(catalog.find("captum:FeatureAblation"), {}, on, on.x)
    ours = asked(catalog.find("ablation"), {}, on, on.x)
    close(e.values, ours.values, 1e-5)
    assert e.evidence.rows_interact
    with pytest.raises(pellucid.PellucidError) as error:  # it needs x and baseline in one pass
        pellucid.explain(nn.Sequential(Centred(), mlp()), normal(1, 6), "captum:DeepLift")
    assert error.value.code == "foreign.failed"


@pytest.mark.parametrize("name", UNIVERSAL)
@pytest.mark.parametrize(("method", "on"), [
    ("Saliency", "gelu_mlp"), ("DeepLift", "gelu_mlp"), ("DeepLift", "cnn"), ("IntegratedGradients", "cnn"),
    ("KernelShap", "gelu_mlp")])
def test_the_laws_of_every_method_hold(method: str, name: str, on: str) -> None:
    """But one: DeepLift puts x and baseline into one pass, and can do with no less than two rows."""
    options: dict[str, Any] = {"n_steps": 8} if method == "IntegratedGradients" and name != "FLAT" else {}
    if method == "DeepLift" and name == "CHUNK":
        where = toy(on)
        two, seven = (asked(catalog.find("captum:DeepLift"), {}, where, where.x, chunk=c) for c in (2, 7))
        assert torch.equal(two.values, seven.values)
        assert two.evidence.chunk == 2
        return
    law(name).check(catalog.find(f"captum:{method}"), options, toy(on))


def test_the_shell_takes_captums_options(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from pellucid.cli.main import main
    from pellucid.models.demo import FOLDER

    rows = str(FOLDER / "tumours" / "samples.csv")
    code = main(["explain", "demo:tumours", rows, "--row", "2", "--method", "captum:KernelShap", "--n-samples", "50",
                 "--json", "--no-progress"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert found["recipe"]["n_samples"] == 50
    main(["methods"])
    assert "DeepLiftShap" in capsys.readouterr().out
    main(["methods", "--json"])
    assert "captum:DeepLift" in json.loads(capsys.readouterr().out)["families"]["captum"]


def test_cnn_with_in_place_gates_is_the_one_without() -> None:
    net, x = cnn(dtype=F64), normal(1, 3, 12, 12, seed=1, dtype=F64)
    close(pellucid.explain(net, x, "captum:DeepLift", target=2).elements, theirs("DeepLift", net, x)[0], 1e-9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["DeepLift", "IntegratedGradients", "FeatureAblation", "KernelShap",
                                  "LayerConductance"])
def test_a_model_on_a_gpu_gives_the_values_it_gives_on_the_cpu(name: str) -> None:
    near = {"layer": "pool"} if name.startswith("Layer") else {"features": "patches:4"}
    state = torch.cuda.get_rng_state()
    fast = pellucid.explain(copy.deepcopy(CONVS).cuda(), PICTURE.cuda(), f"captum:{name}", target=2, **near)
    close(fast.values, pellucid.explain(CONVS, PICTURE, f"captum:{name}", target=2, **near).values)
    assert torch.equal(torch.cuda.get_rng_state(), state)
    lstm, x = settled(Recurrent(), 2, F64), normal(1, 5, 4, seed=3, dtype=F64)
    ask = {"target": 1, "n_steps": 8}
    close(pellucid.explain(copy.deepcopy(lstm).cuda(), x.cuda(), "captum:IntegratedGradients", **ask).values,
          pellucid.explain(lstm, x, "captum:IntegratedGradients", **ask).values)
