"""Why a promise is not kept, where that is known: told beside the figure."""

from __future__ import annotations

import fnmatch

WHY: tuple[tuple[str, str], ...] = (
    ("grad_cam/resnet50|time|pellucid|one forward*",
     "the pass itself takes 0.96 to 1.02 of the forward; explain() around eight pictures adds about a twentieth"),
    ("grad_cam/resnet50|time|pellucid, tuned|one forward*",
     "of eight pictures one is also asked of the model itself, an eighth; channels innermost gain nothing on this "
     "processor, and bfloat16 is refused on these untrained weights (with trained-like ones 0.73 was measured)"),
    ("grad_cam/*|time|*|captum",
     "captum too takes one forward here: its way back from the last block is short, and autograd costs the forward "
     "nothing on this processor (1.43 of a forward where the promise was made)"),
    ("grad_cam/vit|time|*|one forward*",
     "the gradient goes back through the last of twelve blocks, which is a sixth of a forward"),
    ("grad_cam/vit|time|*|grad-cam", "the same: the last block's way back is part of both"),
    ("grad_cam/vit_memory|memory|*|one forward*",
     "a pass of eight pictures keeps what the last block needs for its way back; fewer rows would be slower"),
    ("ig_same_points|time|*|captum",
     "captum's default costs 1.25 of its best chunk here, 2.5 where the promise was made; both do the same passes"),
    ("ig_same_points|time|*|captum, best chunk", "the same passes, in chunks of eight rows against its best one"),
    ("ig_to_one_percent/*|time|*|captum",
     "the rule stops when two estimates agree, not when the truth is near: 33 points where 15 would do"),
    ("ig_to_one_percent/*|error|*|captum",
     "the error is 0.04 % and below where 1 % was asked for; captum spends 50 points whatever is asked"),
    ("conductance|time|*|captum",
     "both do one forward and the way back behind the layer for the same steps; with the default tolerance fewer "
     "points are asked, which is another question than this one"),
    ("occlusion|time|*|captum at its best", "the model's own time on the same rows is nearly all of both"),
    ("ablation|time|*|captum at its best", "the model's own time on the same rows is nearly all of both"),
    ("kernel_shap|time|*",
     "the network takes a third of a millisecond a row: spreading masks over 224 by 224 pixels (a sixth of it) and "
     "126 passes' bookkeeping (a third) show"),
    ("lime|time|*", "as for kernel_shap: what stands around a pass shows beside a network so small"),
    ("five_together/mixed|time|*",
     "of these five two ask nearly all of the rows, and share none of them with the others"),
    ("attention/capture|time|*",
     "twelve layers' probabilities are written down that the fused operation never writes, for one picture"),
    ("memory_flat|memory|conductance*",
     "the steps of a layer's values between neighbouring points are held a chunk longer than the points"),
    ("memory_flat|memory|averaged*",
     "the baselines themselves are held, as they were given: 64 pictures of 0.6 MiB"),
    ("ig_same_points|memory|*", "a chunk of eight rows, where the peer's best is one"),
    ("grad_cam/resnet50|time|pellucid|grad-cam", "grad-cam takes 3.1 forwards here, 3.28 where the promise was made"),
    ("metrics/pixel_flipping|time|*|Quantus",
     "all rows are different ones, and the model's own time on them is more than half of Quantus'"),
    ("metrics/correlation|time|*|Quantus",
     "the model's own time on the same rows is half of Quantus'; with controls, which share their rows, it is met"),
    ("overhead|*|explain()|*",
     "what explain() adds is made once per example: the record, its recipe, its verdict, its provenance"),
)
"""`row|what|ours|against` as a pattern, and the reason. The first that fits is taken."""


def why(row: str, what: str, ours: str, against: str) -> str:
    """The known reason, or nothing."""
    name = f"{row}|{what}|{ours}|{against}"
    return next((reason for pattern, reason in WHY if fnmatch.fnmatchcase(name, pattern)), "")
