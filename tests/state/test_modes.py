"""Watching a model's operations costs no start of torch's compiler, and leaves compiled parts alone."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

import pellucid

FIRST = """
import sys, torch, pellucid
net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(),
                          torch.nn.Linear(4 * 36, 2)).eval()
for method in ("saliency", "integrated_gradients", "grad_cam", "occlusion"):
    for precision in ("auto", "fast"):
        pellucid.explain(net, torch.randn(1, 3, 8, 8), method, precision=precision)
print(sorted({"torch._dynamo", "sympy", "torch._inductor"} & set(sys.modules)))
"""


def test_the_first_explanation_does_not_load_the_compiler():
    found = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, timeout=120, check=True)
    assert found.stdout.strip() == "[]"


def test_a_model_with_a_compiled_part_says_what_it_says_uncompiled():
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(6, 6), nn.Tanh())
    plain = nn.Sequential(inner, nn.Linear(6, 2))
    compiled = nn.Sequential(torch.compile(inner, backend="eager"), plain[1])
    x = torch.randn(1, 6)
    for method in ("saliency", "integrated_gradients", "occlusion"):
        a, b = (pellucid.explain(m, x, method) for m in (plain, compiled))
        torch.testing.assert_close(a.values, b.values)
