"""What can be said of any value shaped like a picture, (channels, height, width)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def mean_colour(x: Tensor) -> Tensor:
    """A picture of one colour: the mean of each channel."""
    return x.double().mean((-2, -1), keepdim=True).to(x).expand(x.shape).clone()


def blurred(x: Tensor) -> Tensor:
    """Gaussian blur with a standard deviation of a tenth of the short side; the edge's colour continues."""
    sigma = 0.1 * min(x.shape[-2:])
    radius = max(1, math.ceil(3 * sigma))
    at = torch.arange(-radius, radius + 1, dtype=torch.float64, device=x.device)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype)
    planes = F.pad(x.unsqueeze(1).to(kernel), (radius,) * 4, mode="replicate")
    across = F.conv2d(planes, kernel.view(1, 1, 1, -1))
    return F.conv2d(across, kernel.view(1, 1, -1, 1)).squeeze(1).to(x)


def display(x: Tensor) -> np.ndarray[Any, Any]:
    """Values in 0..1, (1 or 3, H, W), as bytes (H, W, 3)."""
    bytes_ = (x.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).cpu()
    return bytes_.expand(3, *x.shape[-2:]).permute(1, 2, 0).contiguous().numpy()


def stretched(x: Tensor) -> np.ndarray[Any, Any]:
    """The value's own range stretched to black and white, for values whose scale nobody stated."""
    low, high = x.min(), x.max()
    return display((x - low) / (high - low) if high > low else torch.full_like(x, 0.5))
