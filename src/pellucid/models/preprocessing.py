"""From a picture to what an image model is fed: a stated recipe, or a callable that is asked what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pellucid.models import picture
from pellucid.models.tensors import as_tensor, is_array
from pellucid.words.errors import ModelError, OptionError, nearest

if TYPE_CHECKING:
    from PIL.Image import Image

RESIZES = ("squash", "crop", "none")
FILTERS = ("nearest", "bilinear", "bicubic", "lanczos")


@dataclass(frozen=True)
class ImagePreprocess:
    """Resize, scale to 0..1, subtract `mean`, divide by `std` (one number per channel).

    `size` is (height, width). `squash` resizes to it whatever the proportions; `crop` resizes the short
    side to `short` pixels (the short side of `size` by default) and keeps the middle; `none` keeps the
    picture's own size. With one channel the picture is made grey first.
    """

    size: tuple[int, int] = (224, 224)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    resize: str = "squash"
    channels: int = 3
    short: int | None = None
    filter: str = "bilinear"

    def __post_init__(self) -> None:
        size = self.size if isinstance(self.size, Sequence) else (self.size, self.size)
        object.__setattr__(self, "size", tuple(int(v) for v in size))
        for field in ("mean", "std"):
            value = getattr(self, field)
            numbers = tuple(float(v) for v in (value if isinstance(value, Sequence | np.ndarray) else (value,)))
            object.__setattr__(self, field, numbers * self.channels if len(numbers) == 1 else numbers)
        for value, known in ((self.resize, RESIZES), (self.filter, FILTERS)):
            if value not in known:
                raise OptionError("preprocess.unknown", repr(value), ", ".join(known), nearest(str(value), known))
        good = (len(self.size) == 2 and min(self.size) > 0 and self.channels in (1, 3) and min(self.std) > 0
                and len(self.mean) == len(self.std) == self.channels and (self.short is None or self.short > 0))
        if not good:
            raise OptionError("preprocess.unfit", f"size {self.size}, {self.channels} channels, "
                              f"{len(self.mean)} means, {len(self.std)} deviations",
                              "(height, width), 1 or 3 channels, one mean and one deviation above zero for each",
                              "copy the numbers from the model's card")

    def __call__(self, image: Image) -> Tensor:
        """(channels, height, width) from an RGB picture."""
        return self.normalise(self.cut(image))

    def cut(self, image: Image) -> np.ndarray[Any, Any]:
        """The pixels the model sees, bytes (height, width, channels)."""
        from PIL.Image import Resampling

        if self.channels == 1:
            image = image.convert("L")
        how = Resampling[self.filter.upper()]
        (height, width), (w, h) = self.size, image.size
        if self.resize == "squash" and (w, h) != (width, height):
            image = image.resize((width, height), how)
        elif self.resize == "crop":
            short = self.short or min(height, width)
            # Lengths are cut, not rounded, and the middle is rounded to even: as torchvision does it.
            wide, high = (int(short * w / h), short) if h < w else (short, int(short * h / w))
            if high < height or wide < width:
                more = max(height / high, width / wide)
                wide, high = max(width, round(wide * more)), max(height, round(high * more))
            if (wide, high) != (w, h):
                image = image.resize((wide, high), how)
            left, top = round((wide - width) / 2), round((high - height) / 2)
            image = image.crop((left, top, left + width, top + height))
        pixels = np.asarray(image)
        return pixels[..., None] if pixels.ndim == 2 else pixels

    def normalise(self, pixels: np.ndarray[Any, Any]) -> Tensor:
        """(channels, height, width) from bytes (height, width, channels)."""
        x = torch.from_numpy(np.array(pixels, copy=True)).permute(2, 0, 1).float() / 255
        return (x - _column(self.mean)) / _column(self.std)

    def restore(self, x: Tensor) -> Tensor:
        """The picture in 0..1 that x came from."""
        return x.detach().float().cpu() * _column(self.std) + _column(self.mean)

    @property
    def fixed(self) -> tuple[int, int] | None:
        """The size of every preprocessed picture, None where it varies."""
        return None if self.resize == "none" else (self.size[0], self.size[1])


@dataclass(frozen=True, eq=False)
class CallablePreprocess:
    """Someone's transforms: from a PIL picture to a tensor (channels, height, width).

    What they do to colours is found by asking for black, white, grey and red pictures: where that is a
    scale and a shift for each channel, pictures are shown and colours made as with ImagePreprocess.
    """

    call: Callable[[Any], Any]

    def __call__(self, image: Image) -> Tensor:
        x = self._run(image)
        if not torch.equal(x, self._run(image)):
            raise ModelError("preprocess.random", "a preprocessing that answers differently each time",
                             "one that is repeatable", "leave out random crops, flips and colour changes")
        return x

    def _run(self, image: Image) -> Tensor:
        try:
            made = self.call(image.copy())
        except Exception as error:
            raise ModelError("preprocess.failed", f"{type(error).__name__} in the preprocessing",
                             "a function from an RGB PIL picture to a tensor", "try it on one picture") from error
        if isinstance(made, Mapping):
            made = made.get("pixel_values")
        if isinstance(made, list) and len(made) == 1:
            made = made[0]
        if is_array(made):
            made = as_tensor(made)
            made = made[0] if made.dim() == 4 and len(made) == 1 else made
        if not (isinstance(made, Tensor) and made.dim() == 3 and made.shape[0] in (1, 3) and made.is_floating_point()):
            found = f"a {type(made).__name__}"
            if isinstance(made, Tensor):
                found = f"a tensor of shape {tuple(made.shape)} and {str(made.dtype).removeprefix('torch.')}"
            raise ModelError("preprocess.shape", f"{found} from the preprocessing",
                             "a floating tensor (channels, height, width) with 1 or 3 channels",
                             "end the transforms with a conversion to float tensor")
        with torch.inference_mode(False), torch.no_grad():
            return made.detach().as_subclass(Tensor).clone()

    def colours(self, width: int, height: int) -> ImagePreprocess | None:
        """Scale and shift of each channel as asked on pictures of this size; None where it is not that."""
        asked = [self.colour(c, width, height) for c in ((0, 0, 0), (255,) * 3, (128,) * 3, (255, 0, 0))]
        # The middle pixel: transforms may pad the edges.
        black, white, grey, red = (x[:, x.shape[1] // 2, x.shape[2] // 2].double() for x in asked)
        span = white - black
        if not bool((span > 0).all()):
            return None
        pure = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)[: len(span)] if len(span) == 3 else None
        expected = [(grey, black + span * (128 / 255))] + ([(red, black + span * pure)] if pure is not None else [])
        scale = float(span.abs().max())
        if any(float((a - b).abs().max()) > 1e-4 * scale for a, b in expected):
            return None
        mean, std = (-black / span).tolist(), (1 / span).tolist()
        return ImagePreprocess((asked[0].shape[1], asked[0].shape[2]), tuple(mean), tuple(std), "none", len(span))

    def colour(self, rgb: Sequence[int], width: int, height: int) -> Tensor:
        """What a picture of one colour becomes."""
        from PIL import Image as pil

        return self._run(pil.new("RGB", (width, height), tuple(rgb)))


def shown_of(x: Tensor, recipe: ImagePreprocess | None) -> tuple[np.ndarray[Any, Any], tuple[str, ...]]:
    """The picture behind a preprocessed value, or the value's own range where nobody said how to undo it."""
    if recipe is None:
        return picture.stretched(x), ("shown from its lowest to its highest value",)
    return picture.display(recipe.restore(x)), ()


def _column(numbers: Sequence[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1)
