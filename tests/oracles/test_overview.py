"""What is said of every method on a model holds: who is valid answers, who is not is refused, the price is right."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from oracle_nets import normal, settled
from torch import Tensor, nn

import pellucid
from pellucid.overview import Row, overview
from pellucid.testing.toys import toy
from pellucid.words.errors import PellucidError

ON = ("cnn", "vit", "relu_mlp", "lstm")


@pytest.fixture(scope="module")
def told() -> dict[str, list[Row]]:
    return {name: overview(toy(name).subject(), toy(name).x) for name in ON}


@pytest.mark.parametrize("name", ON)
def test_who_is_valid_answers_and_who_is_not_is_refused_for_that_reason(name: str, told: dict[str, list[Row]]) -> None:
    on = toy(name)
    assert {"valid", "invalid"} <= {row.status for row in told[name]}
    for row in told[name]:
        if row.price is not None and row.price.most > 1200:
            continue  # answered in the laws
        if row.status in ("open", "invalid"):
            with pytest.raises(PellucidError) as error:
                pellucid.explain(on.subject(), on.x, row.method, precision="exact")
            assert row.reason == error.value.found, row.method.name
            continue
        e = pellucid.explain(on.subject(), on.x, row.method, precision="exact")
        caveats = [f.reason for f in e.verdict.findings if f.code == "method.caveat"]
        assert row.status == ("caveat" if caveats else "valid"), row.method.name
        assert row.price is not None
        beside = 3  # the scores of x and of its baseline, and a layer's reading, may be asked beside the method
        assert row.price.least <= e.evidence.rows <= row.price.most + beside, (
            f"{row.method.name}: {row.price}, and {e.evidence.rows} were asked")


def test_a_model_without_gradients_keeps_the_methods_that_need_none() -> None:
    class Steps(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([(x > 0).sum(1), (x < 0).sum(1)], 1).float()

    rows = {row.method.name: row for row in overview(Steps(), normal(1, 5))}
    assert rows["saliency"].status == rows["integrated_gradients"].status == "invalid"
    assert "gradient" in rows["saliency"].reason
    assert "kernel_shap" in rows["saliency"].do
    assert rows["kernel_shap"].status == rows["ablation"].status == "valid"


def unfit(net: nn.Module, x: Tensor, method: str, **options: Any) -> PellucidError:
    with pytest.raises(PellucidError) as error:
        pellucid.explain(net, x, method, target=1, **options)
    return error.value


def test_what_is_not_valid_is_said_by_name_and_place_with_what_to_take_instead() -> None:
    gelu = settled(nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3)))
    x = normal(1, 6)
    for method in ("guided_backprop", "deconvnet"):
        error = unfit(gelu, x, method)
        assert error.code == "method.unfit"
        assert "GELU at 1" in error.found
        assert "integrated_gradients" in error.do
    deep = pellucid.explain(gelu, x, "captum:DeepLift", target=1)
    assert deep.verdict.status != "pass"
    assert any("LayerNorm" in f.reason and "2" in f.reason for f in deep.verdict.findings)
    assert unfit(gelu, x, "grad_cam", layer="0").code == "layer.no_places"
    error = unfit(toy("lstm").subject(), toy("lstm").x, "lrp")
    assert error.code == "method.unfit"
    assert "lstm" in error.found


def test_gates_of_another_kind_beside_relus_are_a_caveat() -> None:
    net = settled(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 3)))
    e = pellucid.explain(net, normal(1, 6), "guided_backprop", target=1)
    assert e.verdict.status == "warn"
    (finding,) = [f for f in e.verdict.findings if f.code == "method.caveat"]
    assert "SiLU at 3" in finding.reason


def test_the_shell_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    from pellucid.cli.main import main

    assert main(["methods", "demo:recommender", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)["model"]["overview"]
    found = {row["method"]: row for row in made}
    assert found["shapley"]["status"] == "valid"
    assert found["shapley"]["cost"] == {"least": 2**9, "most": 2**9, "gradient": False}
    assert found["attention"]["status"] == "invalid"
    assert main(["methods", "demo:recommender"]) == 0
    page = capsys.readouterr().out
    assert "kernel_shap" in page
    assert "Not valid here" in page
