"""Pictures by their frequencies and in colours that vary by themselves: where a climb does not end in fine noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.numbers.ranking import lots

START = 0.01
"""Spread of a start's coefficients: hardly more than grey."""

COLOURS = (
    (0.2175, (0.5675, 0.5808, 0.5836)), (0.0188, (0.7192, -0.0045, -0.6948)), (0.0045, (0.4009, -0.8140, 0.4203)),
)
"""The colours of ImageNet's pixels: their variance along its principal axes of red, green and blue, as they are in use
for the augmentation of doi:10.1145/3065386 (section 4.1). Brightness varies most, then red against blue, then green."""


@dataclass(frozen=True)
class Basis:
    """Pictures (channels, rows, columns) as spectra (channels, rows, columns // 2 + 1, 2).

    Coefficients are divided by their frequency: a step of one size then changes large shapes and fine detail as much as
    natural pictures have of them. `decorrelated` channels are mixed into red, green and blue by how colours
    vary together in photographs.
    """

    shape: tuple[int, int, int]
    decorrelated: bool = True

    def start(self, seed: int, block: int = 0) -> Tensor:
        """A spectrum by lot."""
        c, h, w = self.shape
        return START * torch.randn(c, h, w // 2 + 1, 2, generator=lots(seed, 81 + block))

    def picture(self, spectrum: Tensor) -> Tensor:
        """The picture of a spectrum, around zero."""
        made = torch.fft.irfft2(self._scaled(spectrum), s=self.shape[1:], norm="ortho")
        if self.decorrelated and self.shape[0] == 3:
            made = torch.einsum("rc,chw->rhw", mixing().to(made), made)
        return made

    def scrambled(self, spectrum: Tensor, seed: int) -> Tensor:
        """The spectrum with its phases turned by lot, all channels alike: as strong at every frequency, elsewhere."""
        _, h, w = self.shape
        noise = torch.fft.rfft2(torch.randn(h, w, generator=lots(seed, 82))).to(spectrum.device)
        turned = torch.view_as_complex(spectrum.contiguous()) * (noise / noise.abs().clamp(min=1e-12))
        return torch.view_as_real(turned)

    def _scaled(self, spectrum: Tensor) -> Tensor:
        _, h, w = self.shape
        y = torch.fft.fftfreq(h, device=spectrum.device)[:, None]
        x = torch.fft.rfftfreq(w, device=spectrum.device)[None]
        frequency = (x.square() + y.square()).sqrt().clamp(min=1 / max(h, w))
        return torch.view_as_complex(spectrum.contiguous()) / frequency


def mixing() -> Tensor:
    """From channels that vary by themselves to red, green and blue; the longest column has length one."""
    columns = torch.tensor([[math.sqrt(variance) * v for v in axis] for variance, axis in COLOURS]).mT
    return columns / columns.norm(dim=0).max()


def moved(picture: Tensor, count: int, *, jitter: float, scale: float, rotate: float, generator: torch.Generator
          ) -> Tensor:
    """`count` copies of a picture (channels, rows, columns), each shifted, enlarged and turned by lot.

    Shifts are up to `jitter` pixels either way, sizes between 1 / (1 + `scale`) and 1 + `scale`, turns up to `rotate`
    degrees either way; what comes in at an edge is the picture mirrored. Gradients flow back to the picture.
    """
    height, width = picture.shape[1:]
    lot = torch.rand(4, count, generator=generator) * 2 - 1
    turn, size = lot[0] * math.radians(rotate), torch.exp(-lot[1] * math.log1p(scale))
    cos, sin = turn.cos() * size, turn.sin() * size
    # Rows and columns need not be equally many: a turn is one of pixels.
    place = torch.stack([torch.stack([cos, -sin * height / width, lot[2] * 2 * jitter / width], 1),
                         torch.stack([sin * width / height, cos, lot[3] * 2 * jitter / height], 1)], 1)
    grid = F.affine_grid(place.to(picture), [count, *picture.shape], align_corners=False)
    return F.grid_sample(picture.expand(count, *picture.shape), grid, mode="bilinear", padding_mode="reflection",
                         align_corners=False)
