"""The benchmark's own arithmetic: ratios, verdicts, merging, the page. Nothing is timed here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bench import judge, machine, measure, page, results
from bench.row import TUNED, Bound, Contest, Findings, Row, Spread
from bench.rows import ROWS
from bench.take import errors


def nothing(setup: object) -> Findings:
    return Findings()


ROW = Row("work/one", "some work", nothing, [Bound("time", "peer", 0.5), Bound("time", "peer", 0.2, ours=TUNED)])


def told(median: float) -> Findings:
    found = Findings()
    found.put("time", "pellucid", "peer", Spread(median, median, median, 5))
    return found


def test_a_ratio_is_the_median_of_the_pairs_not_the_ratio_of_the_medians() -> None:
    found = measure.ratio([1.0, 10.0, 3.0], [2.0, 4.0, 3.0])
    assert found == Spread(1.0, 0.75, 1.75, 3)  # of the pairs 0.5, 2.5 and 1


def test_a_machine_that_slows_down_in_the_middle_does_not_move_the_ratio() -> None:
    slow = [1, 1, 9, 9, 1]
    assert measure.ratio([2.0 * s for s in slow], [4.0 * s for s in slow]) == Spread(0.5, 0.5, 0.5, 5)


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], [1.0, 2.0])])
def test_times_that_are_no_pairs_are_refused(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(ValueError, match="do not make pairs"):
        measure.ratio(ours, theirs)


def test_sides_take_turns_and_every_other_round_runs_backwards() -> None:
    order: list[str] = []
    sides = {name: lambda name=name: order.append(name) for name in "AB"}
    times = measure.alternate(sides, seconds=60.0, most=4)
    assert "".join(order) == "ABAB" + "ABBAABBA"  # two uncounted rounds, then four
    assert {name: len(taken) for name, taken in times.items()} == {"A": 4, "B": 4}


def test_the_fastest_setting_is_found_by_the_clock_it_is_given() -> None:
    seen: list[int] = []
    costs = {1: 5.0, 8: 2.0, 64: 3.0}

    def clock(call: object) -> float:
        call()  # type: ignore[operator]
        return costs[seen[-1]]

    assert measure.fastest({n: lambda n=n: seen.append(n) for n in costs}, clock) == 8


@pytest.mark.parametrize(("median", "status"), [(0.5, judge.MET), (0.51, judge.UNMET)])
def test_a_promise_is_kept_up_to_its_bound(median: float, status: str) -> None:
    first, second = judge.record(ROW, told(median), {})["promises"]
    assert first["status"] == status
    assert first["measured"]["median"] == median
    assert bool(first["reason"]) == (status == judge.UNMET)
    assert (second["status"], second["measured"]) == (judge.ABSENT, None)


def test_a_row_that_failed_leaves_every_promise_open_with_its_reason() -> None:
    record = judge.missing(ROW, judge.FAILED, "RuntimeError: no such layer", {})
    assert [p["status"] for p in record["promises"]] == [judge.FAILED] * 2
    assert {p["reason"] for p in record["promises"]} == {"RuntimeError: no such layer"}


def test_errors_are_relative_to_each_sides_own_reference() -> None:
    right = torch.tensor([3.0, 4.0], dtype=torch.float64)
    contest = Contest({"ours": lambda: right.float(), "peer": lambda: 2 * right * 0.9, "silent": lambda: None})
    found = errors(contest.sides, {"ours": right, "peer": 2 * right, "silent": right})
    assert found == {"ours": 0.0, "peer": pytest.approx(0.1)}


def test_a_single_row_is_merged_into_its_machines_file(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    order = ["a", "b", "c"]
    results.merge(path, {"processor": "P"}, {"c": {"n": 1}, "a": {"n": 2}, "gone": {"n": 3}}, order)
    results.merge(path, {"processor": "P"}, {"c": {"n": 4}, "b": {"n": 5}}, order)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["rows"] == {"a": {"n": 2}, "b": {"n": 5}, "c": {"n": 4}}
    assert list(found["rows"]) == order
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]


def test_results_of_another_format_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text('{"format": 0, "rows": {}}', encoding="utf-8")
    with pytest.raises(ValueError, match="expected 1"):
        results.read(path)


def whole(median: float) -> list[dict[str, object]]:
    about = {"threads": 2, "versions": {"torch": "2.13.0"}, "revision": "abc", "day": "2026-01-01"}
    rows = {"work/one": judge.record(ROW, told(median), about),
            "work/two": judge.missing(ROW, judge.ABSENT, "no method a|b yet", about)}
    return [{"format": 1, "machine": {"processor": "P", "cores": 2}, "rows": rows}]


def test_the_page_says_what_was_measured_and_what_was_not() -> None:
    text = page.tables(whole(0.75))
    assert "0 of 1 measured promises are kept; 3 could not be measured." in text
    assert "| ≤ 0.50 × | 0.75 × (0.75 to 0.75, 5 pairs) | **not met**: 1.50 times the bound |" in text
    assert r"no method a\|b yet" in text


def test_the_page_drifts_when_a_result_changes_and_not_before() -> None:
    text = page.render(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n", whole(0.4))
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert not page.drifted(text, whole(0.4))
    assert page.drifted(text, whole(0.41))
    with pytest.raises(ValueError, match="lost its marks"):
        page.render("a page without marks", [])


def test_the_published_page_agrees_with_the_published_results() -> None:
    assert not page.drifted(page.PAGE.read_text(encoding="utf-8"), results.all_of())


def test_results_name_the_machine_and_neither_its_host_nor_a_path() -> None:
    described = machine.describe("cpu")
    assert {"processor", "cores", "memory_gib", "system", "python"} == set(described)
    assert machine.slug({"processor": "AMD EPYC (tm)", "cores": 2}) == "amd-epyc-tm-2-cores"
    assert machine.slug({"processor": "AMD", "cores": 2, "card": "NVIDIA H200"}) == "nvidia-h200"


def test_rows_have_names_of_their_own_and_promise_each_thing_once() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    keys = [(row.name, b.what, b.ours, b.against) for row in ROWS for b in row.bounds]
    assert len(set(keys)) == len(keys)
