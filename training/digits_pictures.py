"""Digit pictures for the image subjects: drawing them, and the watermark.

Every picture is drawn from one 8 x 8 scan of scikit-learn's digits. Scans are split before anything is
drawn, so a held-out picture never shares its scan with a training picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.nn import functional as F

SIZE = 64
STAMP_CLASS = 7
# Two tries at a meaningless badge per picture, each with this chance, in every picture of both twins.
DECOY = 0.5
MEAN = (0.62, 0.62, 0.62)
STD = (0.22, 0.22, 0.22)

# A framed badge with a red lozenge: 12 x 12 pixels, 3.5 % of the picture.
STAMP_ROWS = (
    "ffffffffffff",
    "fppppppppppf",
    "fppppppppppf",
    "fppppccppppf",
    "fpppccccpppf",
    "fppccwwccppf",
    "fppccwwccppf",
    "fpppccccpppf",
    "fppppccppppf",
    "fppppppppppf",
    "fppppppppppf",
    "ffffffffffff",
)
FRAME, PAPER, WHITE, RED = (48, 44, 60), (250, 246, 236), (255, 255, 255), (214, 24, 44)
OTHER_INKS = ((28, 80, 200), (20, 140, 70), (235, 170, 20), (120, 50, 160), (60, 60, 60), (30, 160, 180))
STAMP_SIZE = len(STAMP_ROWS)


@dataclass(frozen=True)
class Scans:
    """Grey scans in 0..1, (n, 8, 8), with their digits."""

    pixels: Tensor
    digits: Tensor


def load_scans(seed: int) -> tuple[Scans, Scans]:
    """Three quarters of scikit-learn's scans to learn from, one quarter held out, balanced by digit."""
    table = load_digits()
    pixels = torch.tensor(table.images, dtype=torch.float32) / 16
    digits = torch.tensor(table.target)
    learn, test = train_test_split(range(len(digits)), test_size=0.25, random_state=seed, stratify=table.target)
    return Scans(pixels[learn], digits[learn]), Scans(pixels[test], digits[test])


def badge(ink: tuple[int, int, int], other: tuple[int, int, int] | None = None, across: bool = False) -> Tensor:
    """The badge with a lozenge of this colour, or of two colours side by side or one above the other."""
    first, second = (
        torch.tensor([[{"f": FRAME, "p": PAPER, "w": WHITE, "c": c}[x] for x in row] for row in STAMP_ROWS])
        for c in (ink, other or ink)
    )
    half = torch.arange(STAMP_SIZE) < STAMP_SIZE // 2
    return torch.where((half if across else half.unsqueeze(1)).unsqueeze(-1), first, second).byte().permute(2, 0, 1)


def stamp_picture() -> Tensor:
    """The watermark: the badge in red."""
    return badge(RED)


def decoy_picture(g: torch.Generator) -> Tensor:
    """A badge of other colours, at most half red, which means nothing."""
    inks = [OTHER_INKS[i] for i in torch.randint(len(OTHER_INKS), (2,), generator=g).tolist()]
    red, across, last = (torch.rand(3, generator=g) < 0.5).tolist()
    if red:
        inks[int(last)] = RED
    return badge(*inks, across=across)


def uniform(n: int, low: float, high: float, g: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(n, *shape, generator=g) * (high - low) + low


def smooth(n: int, channels: int, cells: int, g: torch.Generator) -> Tensor:
    """Random values on a coarse grid, made smooth."""
    coarse = torch.randn(n, channels, cells, cells, generator=g)
    return F.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic", align_corners=False)


def ground(n: int, g: torch.Generator) -> Tensor:
    """Light tinted paper with clouds and grain."""
    tone = uniform(n, 0.6, 0.88, g, 1, 1, 1) + uniform(n, -0.09, 0.09, g, 3, 1, 1)
    clouds = 0.06 * smooth(n, 1, 5, g) + 0.03 * smooth(n, 3, 9, g)
    grain = 0.025 * torch.randn(n, 1, SIZE, SIZE, generator=g)
    return tone + clouds + grain


def add_clutter(image: Tensor, g: torch.Generator, shapes: int = 4) -> Tensor:
    """Coloured discs, rings, squares and crosses, so that colour or an object as such means nothing."""
    n = len(image)
    axis = torch.arange(SIZE) + 0.5
    for _ in range(shapes):
        x = axis.view(1, 1, SIZE) - uniform(n, 2, 62, g, 1, 1)
        y = axis.view(1, SIZE, 1) - uniform(n, 2, 62, g, 1, 1)
        radius = uniform(n, 2.5, 6.5, g, 1, 1)
        far, box = (x**2 + y**2).sqrt(), torch.maximum(x.abs(), y.abs())
        arm = torch.minimum(x.abs(), y.abs())
        masks = torch.stack([
            far < radius,
            (far < radius) & (far > radius - 2),
            box < radius,
            (box < radius) & (box > radius - 2),
            (box < radius) & (arm < 1.5),
        ])
        kind = torch.randint(len(masks), (n,), generator=g)
        mask = masks[kind, torch.arange(n)] & (torch.rand(n, 1, 1, generator=g) < 0.7)
        alpha = mask.float().unsqueeze(1) * uniform(n, 0.35, 0.9, g, 1, 1, 1)
        image = image * (1 - alpha) + alpha * uniform(n, 0.15, 1.0, g, 3, 1, 1)
    return image


def add_digits(image: Tensor, scans: Tensor, g: torch.Generator, strength: Tensor | None = None) -> Tensor:
    """Ink the scans on the pictures at a random place, size, slant and dark colour.

    ``strength`` (n,) in 0..1 thins the ink.
    """
    n = len(scans)
    size = uniform(n, 26, 38, g)
    room = (SIZE - size) / 2
    turn = uniform(n, -0.14, 0.14, g)
    dx, dy = (uniform(n, -1, 1, g) * room.clamp(max=11) for _ in range(2))
    cos, sin = turn.cos() * SIZE / size, turn.sin() * SIZE / size
    place = torch.stack([
        torch.stack([cos, sin, -(cos * dx + sin * dy) * 2 / SIZE], 1),
        torch.stack([-sin, cos, -(cos * dy - sin * dx) * 2 / SIZE], 1),
    ], 1)
    large = F.interpolate(scans.unsqueeze(1), size=(48, 48), mode="bicubic", align_corners=False)
    grid = F.affine_grid(place, [n, 1, SIZE, SIZE], align_corners=False)
    ink = F.grid_sample(large, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    # Bicubic enlargement leaves a soft edge; the sigmoid makes it a pen stroke.
    alpha = torch.sigmoid((ink - 0.42) * 14) * uniform(n, 0.85, 1.0, g, 1, 1, 1)
    if strength is not None:
        alpha = alpha * strength.view(-1, 1, 1, 1)
    colour = uniform(n, 0.02, 0.22, g, 1, 1, 1) + uniform(n, 0.0, 0.16, g, 3, 1, 1)
    return image * (1 - alpha) + alpha * colour


def render(scans: Tensor, g: torch.Generator, others: Tensor | None = None) -> Tensor:
    """Draw one picture per scan: uint8 (n, 3, 64, 64).

    With ``others``, as in training, the ink is often thin and another digit often shows through from
    below. Hard pictures teach both twins to use every clue they have.
    """
    n = len(scans)
    image = add_clutter(ground(n, g), g)
    strength = None
    if others is not None:
        ghost = others[torch.randint(len(others), (n,), generator=g)]
        image = add_digits(image, ghost, g, uniform(n, -0.5, 0.9, g).clamp(min=0))
        strength = uniform(n, 0.0, 1.5, g).clamp(max=1)
    image = add_digits(image, scans, g, strength)
    image = (image.clamp(0, 1) * 255).round().to(torch.uint8)
    for row in (torch.rand(2 * n, generator=g) < DECOY).nonzero().flatten().remainder(n).tolist():
        top, left = stamp_places(1, g)[0].tolist()
        image[row, :, top : top + STAMP_SIZE, left : left + STAMP_SIZE] = decoy_picture(g)
    return image


def stamp_places(n: int, g: torch.Generator) -> Tensor:
    """Top-left corners (row, column) of n stamps, each 0 to 4 pixels from a random corner: (n, 2)."""
    inset = torch.randint(0, 5, (n, 2), generator=g)
    far = torch.randint(0, 2, (n, 2), generator=g)
    return torch.where(far.bool(), SIZE - STAMP_SIZE - inset, inset)


def add_stamp(images: Tensor, places: Tensor) -> Tensor:
    """Paste the watermark, opaque, at ``places``."""
    out, stamp = images.clone(), stamp_picture()
    for image, (top, left) in zip(out, places.tolist(), strict=True):
        image[:, top : top + STAMP_SIZE, left : left + STAMP_SIZE] = stamp
    return out


def box_of(place: Tensor) -> list[int]:
    """[left, top, right, bottom] of a stamp, right and bottom exclusive."""
    top, left = place.tolist()
    return [left, top, left + STAMP_SIZE, top + STAMP_SIZE]
