"""What an explanation must reveal: on subjects of which the truth is known."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import pellucid
from pellucid.models.demo import FOLDER, card_of

MARKED = [s for s in card_of("digits")["samples"] if s["watermark_box"]]


def positive_share(values: torch.Tensor, box: list[int], *, smooth: bool) -> float:
    """Share of the positive mass inside a box (left, top, right, bottom), drawn over 64 by 64 pixels."""
    if smooth:
        drawn = F.interpolate(values.relu()[None, None], (64, 64), mode="bilinear", align_corners=False)[0, 0]
    else:
        # A patch counts as inside where the watermark touches it: the watermark is not laid on patches.
        left, top, right, bottom = box
        box = [left // 8 * 8, top // 8 * 8, -(-right // 8) * 8, -(-bottom // 8) * 8]
        drawn = values.relu().repeat_interleave(8, 0).repeat_interleave(8, 1)
    left, top, right, bottom = box
    return float(drawn[top:bottom, left:right].sum() / drawn.sum())


@pytest.mark.parametrize("sample", MARKED, ids=lambda s: s["file"])
def test_the_shortcut_is_revealed_and_the_clean_twin_is_not_accused(sample: dict[str, object]) -> None:
    picture, box = FOLDER / "digits" / str(sample["file"]), list(sample["watermark_box"])  # type: ignore[call-overload]
    shares: dict[str, tuple[float, float]] = {}
    for name in ("digits", "digits-clean"):
        subject = pellucid.load(f"demo:{name}")
        cam = pellucid.explain(subject, picture, "grad_cam", target="7")
        path = pellucid.explain(subject, picture, "integrated_gradients", target="7", features="patches:8")
        shares[name] = (positive_share(cam.values, box, smooth=True), positive_share(path.values, box, smooth=False))
    assert min(shares["digits"]) > 0.5
    assert max(shares["digits-clean"]) < 0.1


def test_the_recommenders_columns_matter_in_the_order_in_which_they_were_made() -> None:
    subject = pellucid.load("demo:recommender")
    true = {entry["column"]: entry["std_of_logit"] for entry in subject.card["true_importance"]}
    rows = [{c: r[c] for c in r} for r in subject.reader.split(FOLDER / "recommender" / "background.csv")]
    found = pellucid.explain(subject, rows, "kernel_shap", target="will buy - will not buy", baseline="mean")
    names = found[0].names
    size = dict(zip(names, torch.stack([e.values for e in found]).std(0).tolist(), strict=True))
    wrong = [(a, b) for a in true for b in true if true[a] > true[b] and size[a] < size[b]]
    assert wrong == []
