"""What a feature's own value is worth against the values of other rows; groups that are counted once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from oracle_nets import Quadratic, cnn, mlp, normal, settled
from played import F64, Coverage, play
from scipy import stats
from torch import Tensor, nn

import pellucid
from pellucid.models.tabular import Column


def close(a: Tensor, b: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(a.to(F64).flatten(), b.to(F64).flatten(), rtol=tolerance, atol=tolerance)


def test_on_a_linear_score_it_is_weight_times_distance_from_the_mean_row_with_its_error() -> None:
    net = settled(nn.Sequential(nn.Linear(6, 3)), dtype=F64)
    x, rows = normal(6, seed=1, dtype=F64), normal(30, 6, seed=2, dtype=F64)
    e = pellucid.explain(net, x[None], "permutation", target=2, baseline=list(rows))
    w = net[0].weight[2].detach()
    close(e.values, w * (x - rows.mean(0)))
    student = stats.t.ppf(stats.norm.cdf(2), 29) / 2  # two of it cover as much as two of a known error
    close(e.error, student * w.abs() * rows.std(0) / 30**0.5, 1e-5)
    assert e.evidence.rows == 30 * 6 + 1


def test_on_a_quadratic_score_it_equals_a_loop_over_rows() -> None:
    net, x, rows = Quadratic(5), normal(5, seed=3, dtype=F64), normal(7, 5, seed=4, dtype=F64)
    true = torch.zeros(5, dtype=F64)
    for b in rows:
        for i in range(5):
            other = x.clone()
            other[i] = b[i]
            true[i] += (net(x[None]) - net(other[None])).detach()[0] / 7
    close(pellucid.explain(net, x[None], "permutation", baseline=list(rows)).values, true)


def test_errors_cover_at_the_stated_rate_over_backgrounds_drawn_anew() -> None:
    """f = Σ w tanh(x) over rows around zero: the loss is w tanh(x) on average."""
    n, w, x = 6, normal(6, seed=5, dtype=F64), normal(6, seed=6, dtype=F64)
    backgrounds = [list(normal(40, n, seed=100 + s, dtype=F64)) for s in range(150)]
    runs = [play("permutation", lambda rows: rows.tanh() @ w, n, x=x, background=b).found for b in backgrounds]
    Coverage.of(runs, w * x.tanh()).check()


COLUMNS = [Column("age", mean=40, std=10), Column("colour", "category", ("red", "green", "blue"))]
ROWS = [{"age": 30 + k, "colour": ("red", "green", "blue")[k % 3]} for k in range(40)]


def test_a_tables_background_is_drawn_from_where_nothing_is_said() -> None:
    subject = pellucid.wrap(mlp((4, 8, 2)), columns=COLUMNS, background=ROWS)
    row = {"age": 61, "colour": "green"}
    e = pellucid.explain(subject, row, "permutation", target=0)
    assert len(e.recipe["baselines"]) == 20
    assert e.evidence.chosen["baselines"] == "20 rows of the background"
    said = pellucid.explain(subject, row, "permutation", target=0, baseline="draws:20")
    assert torch.equal(e.values, said.values)
    assert torch.equal(pellucid.explain(subject, row, **e.recipe).values, e.values)
    more = pellucid.explain(subject, row, "permutation", target=0, baseline="draws:5")
    assert len(more.recipe["baselines"]) == 5


def test_a_category_is_exchanged_as_one() -> None:
    net = mlp((4, 8, 2), dtype=F64)
    subject = pellucid.wrap(net, columns=COLUMNS, background=ROWS)
    e = pellucid.explain(subject, {"age": 61, "colour": "green"}, "permutation", target=0,
                         baseline=[{"age": 20, "colour": "blue"}])
    age = lambda a: (a - 40) / 10  # noqa: E731
    rows = torch.tensor([[age(61), 0, 1, 0], [age(20), 0, 1, 0], [age(61), 0, 0, 1]], dtype=F64)
    f = net(rows).detach()[:, 0]
    close(e.values, torch.stack([f[0] - f[1], f[0] - f[2]]), 1e-6)
    assert e.error is None, "one row does not tell how rows differ"


def test_without_other_rows_it_is_refused_by_name() -> None:
    for subject, x in ((mlp((6, 8, 2)), normal(1, 6)),
                       (pellucid.wrap(mlp((4, 8, 2)), columns=COLUMNS), {"age": 61, "colour": "green"})):
        with pytest.raises(pellucid.PellucidError) as error:
            pellucid.explain(subject, x, "permutation", target=0)
        assert error.value.code == "background.missing"


# -- ablation, occlusion and kernel_shap: a group is one player, however many elements it has

@pytest.mark.parametrize(("method", "options"), [
    ("ablation", {}), ("permutation", {}), ("shapley", {}), ("shapley_sampling", {"samples": 20}), ("owen", {}),
    ("kernel_shap", {}), ("occlusion", {"window": 1}), ("lime", {"ridge": 0.0}),
])
@pytest.mark.parametrize("layout", ["patches:4", "channels", "segments"])
def test_on_a_linear_score_a_groups_value_is_the_sum_of_its_elements_once(
    method: str, options: dict[str, Any], layout: str
) -> None:
    net = settled(nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 2)), dtype=F64)
    x, b = normal(1, 3, 12, 12, seed=17, dtype=F64), normal(1, 3, 12, 12, seed=18, dtype=F64)
    index = torch.arange(12)[:, None] // 5 * 3 + torch.arange(12)[None] // 4
    e = pellucid.explain(net, x, method, target=1, features=index if layout == "segments" else layout,
                         baseline=[b, b] if method == "permutation" else b, **options)
    parts = (net[1].weight[1].reshape(3, 12, 12) * (x - b)[0]).detach()
    true = e.features.gather(parts)
    close(e.values, true, 1e-8)
    assert float(e.values.sum()) == pytest.approx(float(parts.sum()), rel=1e-8)


def test_one_player_of_many_elements_gets_the_whole_change() -> None:
    net, x = cnn(dtype=F64), normal(1, 3, 12, 12, seed=9, dtype=F64)
    whole = torch.zeros(12, 12, dtype=torch.int64)
    change = float((net(x) - net(torch.zeros_like(x)))[0, 2])
    for method in ("ablation", "shapley", "shapley_sampling", "owen", "kernel_shap", "shapley_interactions"):
        e = pellucid.explain(net, x, method, target=2, features=whole)
        assert e.values.tolist() == [pytest.approx(change, abs=1e-12)], method
