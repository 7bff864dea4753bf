"""Owen values against the definition by orders, shap's partition explainer, and what they promise of groups."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from honest import Count
from oracle_nets import cnn, mlp, normal
from played import F64, Coverage, mixed, play, shap, unanimous
from torch import Tensor, nn

import pellucid
from pellucid.models.tabular import Column
from pellucid.numbers import games, nested
from pellucid.numbers.orders import Orders
from pellucid.words.features import groups, patches, segments, units
from pellucid.words.hierarchy import hierarchy
from pellucid.words.masks import Nested

Tree = Any

TREES: dict[str, tuple[int, Tree]] = {
    "two levels": (7, ((0, 3), (1, 4, 5), (2, 6))),
    "singletons beside groups": (6, ((0, 1, 2), 3, (4, 5))),
    "three levels": (8, (((0, 1), (2, 3, 4)), (5, (6, 7)))),
    "halves": (8, (((0, 1), (2, 3)), ((4, 5), (6, 7)))),
    "a deep comb": (6, (0, (1, (2, (3, (4, 5)))))),
    "large groups": (10, ((0, 1, 2), (3, 4, 5), (6, 7, 8, 9))),
}


def close(a: Tensor, b: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(a.to(F64).flatten(), b.to(F64).flatten(), rtol=tolerance, atol=tolerance)


def orders(tree: Tree) -> Iterator[tuple[int, ...]]:
    """Every order in which the parts come in one piece."""
    if isinstance(tree, int):
        yield (tree,)
        return
    for children in itertools.permutations(tree):
        for inner in itertools.product(*(list(orders(c)) for c in children)):
            yield tuple(itertools.chain(*inner))


def by_orders(value: Callable[[Tensor], Tensor], n: int, tree: Tree) -> Tensor:
    """The definition, with all 2^n values looked up."""
    v = value(games.bits(torch.arange(2**n), n)).tolist()
    phi, count = [0.0] * n, 0
    for order in orders(tree):
        at = 0
        for i in order:
            phi[i] += v[at | 1 << i] - v[at]
            at |= 1 << i
        count += 1
    return torch.tensor(phi, dtype=F64) / count


def network(n: int, seed: int = 0) -> tuple[nn.Module, Tensor, Tensor, Callable[[Tensor], Tensor]]:
    net = mlp((n, 24, 2), nn.GELU, seed, F64)
    x, b = normal(n, seed=20 + seed, dtype=F64), normal(n, seed=30 + seed, dtype=F64)
    return net, x, b, lambda masks: net(torch.where(masks, x, b)).detach()[:, 0]


@pytest.mark.parametrize("name", TREES)
def test_exact_values_equal_the_mean_over_all_orders_that_keep_groups_together(name: str) -> None:
    n, tree = TREES[name]
    net, x, b, value = network(n)
    e = pellucid.explain(net, x[None], "owen", target=0, baseline=b, groups=tree)
    close(e.values, by_orders(value, n, tree))
    assert e.error is not None
    assert not e.error.any()
    assert e.evidence.rows == nested.count(tree) + 2
    assert float(e.values.sum()) == pytest.approx(e.score - e.baseline_score, abs=1e-10)


@pytest.mark.parametrize("groups", [None, [[0], [1], [2], [3]], [[0, 1, 2, 3, 4, 5, 6]], [[[6]], [[4]], [], 5]])
def test_with_single_features_or_one_group_they_are_the_shapley_values(groups: Any) -> None:
    net, x, b, value = network(7, 1)
    e = pellucid.explain(net, x[None], "owen", target=0, baseline=b, groups=groups)
    close(e.values, games.shapley(value, 7))
    assert e.details["groups"] == "none: these are the Shapley values"


def test_a_groups_values_sum_to_the_groups_own_value_among_groups() -> None:
    n, tree = TREES["large groups"]
    net, x, b, value = network(n, 2)
    e = pellucid.explain(net, x[None], "owen", target=0, baseline=b, groups=tree)
    among = games.shapley(lambda masks: value(torch.stack([masks[:, k] for k, g in enumerate(tree) for _ in g], 1)), 3)
    told = e.details["groups"]
    assert [name for name, _ in told] == ["group 1 (3 features from number 0)", "group 2 (3 features from number 3)",
                                          "group 3 (4 features from number 6)"]
    close(torch.tensor([v for _, v in told], dtype=F64), among)
    close(torch.stack([e.values[list(g)].sum() for g in tree]), among)


def test_owen_values_of_halves_equal_shaps_partition_explainer() -> None:
    """shap takes binary trees; with room for every coalition its recursion is the same average."""
    peer = shap()
    n, tree = 8, TREES["halves"][1]
    net, x, b, _ = network(n, 3)
    # scipy's linkage: which two clusters are joined, at which distance, how many leaves are in
    linkage = np.array([[0, 1, 1, 2], [2, 3, 1, 2], [4, 5, 1, 2], [6, 7, 1, 2], [8, 9, 2, 4], [10, 11, 2, 4],
                        [12, 13, 3, 8]], dtype=float)
    masker = peer.maskers.Partition(b[None].numpy(), clustering=linkage)

    def model(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return net(torch.as_tensor(rows, dtype=F64)).detach()[:, 0].numpy()

    theirs = peer.PartitionExplainer(model, masker)(x[None].numpy(), max_evals=5000).values[0]
    e = pellucid.explain(net, x[None], "owen", target=0, baseline=b, groups=tree)
    close(e.values, torch.as_tensor(theirs), 1e-8)


# -- which coalitions, which orders

@pytest.mark.parametrize("name", TREES)
def test_coalitions_come_once_each_and_are_those_of_the_orders(name: str) -> None:
    n, tree = TREES[name]
    masks = Nested(tree, 0, nested.count(tree)).block(units((n,)), 0, nested.count(tree))
    codes = (masks.long() << torch.arange(n)).sum(1).tolist()
    if name == "large groups":
        tree = ((0, 1, 2), (3, 4, 5), (6, 7, 8, 9))
    seen: set[int] = set()
    for order in orders(tree):
        at = 0
        for i in order[:-1]:
            at |= 1 << i
            seen.add(at)
    assert sorted(codes) == sorted(seen)


@pytest.mark.parametrize("name", TREES)
def test_drawn_orders_keep_every_group_in_one_piece_and_all_come_equally_often(name: str) -> None:
    n, tree = TREES[name]
    allowed = set(orders(tree))
    drawn = Orders(n, 4, tree).ranks(0, 2000).argsort(1)
    found = [tuple(o) for o in drawn.tolist()]
    assert set(found) <= allowed
    if len(allowed) <= 64:
        hits = torch.tensor([found.count(o) for o in allowed], dtype=F64)
        spread = float(((hits - 2000 / len(allowed)) ** 2 / (2000 / len(allowed))).sum()) / (len(allowed) - 1)
        assert 0.3 <= spread <= 2.2, "chi squared over its degrees of freedom"
    assert torch.equal(drawn[::2], drawn[1::2].flip(1)), "each beside its reverse"


def test_a_grid_of_eight_by_eight_patches_is_exact_in_some_thousand_rows() -> None:
    tree = hierarchy(patches(32, 32, 4))
    assert nested.count(tree) == 2730
    terms = mixed(64, 1, terms=60, most=3)
    played = play("owen", unanimous(64, *terms), 64, features=units((64,)), groups=tree)
    assert played.rows == 2732
    # What a pair does together is shared equally: the two are two parts of some part.
    phi = torch.zeros(64, dtype=F64)
    for c, who in terms:
        phi += c * among(tree, set(who), 64)
    close(played.found.value, phi)


def among(tree: Tree, who: set[int], n: int) -> Tensor:
    """How a term of these players is shared: equally among the children that have some, level by level."""
    if isinstance(tree, int):
        return torch.eye(n, dtype=F64)[tree]
    inside = [c for c in tree if who & set(nested.members(c))]
    return torch.stack([among(c, who, n) for c in inside]).mean(0)


# -- sampled

def test_sampled_values_cover_the_truth_at_the_stated_rate() -> None:
    tree = (tuple(range(8)), tuple(range(8, 16)), tuple(range(16, 22)))
    terms = mixed(22, 3, terms=60, most=6)
    true = sum((c * among(tree, set(who), 22) for c, who in terms), torch.zeros(22, dtype=F64))
    runs = [play("owen", unanimous(22, *terms), 22, seed=s, groups=tree, samples=42 * 30, tolerance=0.0).found
            for s in range(120)]
    assert all(abs(float(r.value.sum() - true.sum())) < 1e-10 for r in runs[:20])
    Coverage.of(runs, true).check()


def test_what_stops_at_the_tolerance_is_within_it() -> None:
    tree, count = (tuple(range(10)), tuple(range(10, 20)), tuple(range(20, 24))), Count("owen")
    for game in range(4):
        terms = mixed(24, 40 + game, terms=40, most=4)
        true = sum((c * among(tree, set(who), 24) for c, who in terms), torch.zeros(24, dtype=F64))
        for seed in range(4):
            how = {"groups": tree, "samples": 80_000, "tolerance": 0.05}
            found = play("owen", unanimous(24, *terms), 24, seed=seed, **how).found
            assert found.notes == ()
            assert found.sampling is not None
            count.add(found.value, found.sampling, true, 0.05)
    count.check()


# -- where groups come from

def test_words_are_grouped_into_sentences_and_their_parts() -> None:
    def tree(*names: str) -> Tree:
        return hierarchy(groups(range(len(names)), names, "tokens", "words"))

    assert tree("It", "was", "good", ",", "the", "end", "dull", ".") == ((0, 1, 2, 3), (4, 5, 6, 7))
    assert tree("Good", "film", "!", "Bad", "seats", ";", "cold", ".") == ((0, 1, 2), ((3, 4, 5), (6, 7)))
    assert tree("no", "thanks", ".", "never", ",", "ever") == ((0, 1, 2), ((3, 4), 5))
    assert tree("wait", "…", "!", "?", "no") == ((0, 1, 2, 3), 4)
    assert tree("很", "好", "，", "但", "冷", "。") == ((0, 1, 2), (3, 4, 5))
    assert tree("good,", "then", "bad.") == (0, (1, 2))
    assert tree("one", "part", "only") == (0, 1, 2)


def test_a_picture_is_grouped_by_where_things_lie() -> None:
    assert hierarchy(patches(8, 6, 2)) == (((0, 3), ((1, 4), (2, 5))), ((6, 9), ((7, 10), (8, 11))))
    index = torch.zeros(4, 6, dtype=torch.int64)  # four regions in the corners, numbered across
    index[:2, 3:], index[2:, :3], index[2:, 3:] = 3, 1, 2
    assert hierarchy(segments(index)) == ((0, 1), (3, 2))


@pytest.mark.parametrize("written", [
    [["age", "income"], ["red", "green"]], (("age", "income"), ("red", "green"), "other"), "age, income; red, green",
    {"age": "money", "income": "money", "red": 1, "green": 1, "other": "alone"}, [[0, 1], [2, 3]], "0,1;2,3",
    {0: "a", 1: "a", 2: "b", 3: "b"},
])
def test_a_tables_groups_are_written_in_several_ways(written: Any) -> None:
    features = groups(range(5), ["age", "income", "red", "green", "other"], "columns", "columns")
    assert hierarchy(features, written) == ((0, 1), (2, 3), 4)


@pytest.mark.parametrize(("code", "written"), [
    ("groups.unknown", [["age", "incme"]]), ("groups.unknown", [[0, 5]]), ("groups.unknown", [[-1, 0]]),
    ("groups.twice", [["age", "income"], ["age", "red"]]), ("groups.twice", [[0, "age"]]),
    ("groups.unreadable", 3), ("groups.unreadable", [[1.5, 2]]), ("groups.unreadable", [[True, 2]]),
    ("groups.unreadable", [{"age": 1}]),
])
def test_groups_that_cannot_be_are_refused_by_name(code: str, written: Any) -> None:
    names = ("age", "income", "red", "green", "other")
    subject = pellucid.wrap(mlp((5, 8, 2)), columns=[Column(name) for name in names])
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(subject, dict.fromkeys(names, 1.0), "owen", groups=written)
    assert error.value.code == code
    if written == [["age", "incme"]]:
        assert "did you mean 'income'" in error.value.do


def test_words_go_by_number_so_that_a_saved_recipe_does_not_hold_the_text() -> None:
    features = groups(range(3), ["very", "good", "very"], "tokens", "words")
    assert hierarchy(features, [[0, 1], [2]]) == ((0, 1), 2)
    with pytest.raises(pellucid.PellucidError) as error:
        hierarchy(features, [["good"]])
    assert error.value.code == "groups.unreadable"
    named = groups(range(3), ["a", "b", "a"], "columns", "columns")
    with pytest.raises(pellucid.PellucidError, match="name of several features"):
        hierarchy(named, [["a", "b"]])


def test_groups_come_back_from_the_recipe_and_the_file(tmp_path: Any) -> None:
    net, x, _, _ = network(6)
    for written in ([[0, 1], [2, 3]], ((0, 1), (2, (3, 4))), "0,1;2,3"):
        e = pellucid.explain(net, x[None], "owen", target=0, groups=written)
        assert e.recipe.replayable
        e.save(tmp_path / "e.pellucid")
        again = pellucid.open(tmp_path / "e.pellucid")
        assert again.details == e.details
        assert torch.equal(pellucid.explain(net, x[None], **again.recipe).values, e.values)


def test_regions_of_a_picture_are_asked_about_through_the_model() -> None:
    net, x = cnn(dtype=F64), normal(1, 3, 12, 12, seed=9, dtype=F64)

    def value(masks: Tensor) -> Tensor:
        on = masks.reshape(-1, 1, 3, 3).repeat_interleave(4, 2).repeat_interleave(4, 3)
        return net(torch.where(on, x, 0.0)).detach()[:, 2]

    e = pellucid.explain(net, x, "owen", target=2, features="patches:4")
    close(e.values, by_orders(value, 9, ((0, (3, 6)), ((1, 2), ((4, 7), (5, 8))))))
