"""Pictures for image models: reading, layouts over the pixels, and colours as baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.models import layouts, picture
from pellucid.models.image_file import read_picture
from pellucid.models.layouts import Layout
from pellucid.models.preprocessing import CallablePreprocess, ImagePreprocess, shown_of
from pellucid.models.subject import Example
from pellucid.models.tensors import check_finite, given_value, is_array, own, recorded
from pellucid.words.case import Carrier
from pellucid.words.errors import InputError, OptionError, nearest
from pellucid.words.explanation import Shown
from pellucid.words.features import Features, segments
from pellucid.words.site import INPUT

COLOURS = {"black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128), "gray": (128, 128, 128)}
BASELINES = ("mean", "blur", "zero", "black", "white", "grey", "noise")
LAYOUTS = ("pixels", "patches", "superpixels")
SUPERPIXELS = 64


@dataclass(frozen=True, eq=False)
class ImageReader:
    """Reads files, bytes, PIL pictures and arrays (H, W), (H, W, 3), (H, W, 4) through `preprocess`.

    A floating tensor (channels, H, W) or (1, channels, H, W) is taken as already preprocessed, and the
    picture shown is recovered from it; a uint8 tensor (channels, H, W) is a picture like an array.
    """

    preprocess: ImagePreprocess | CallablePreprocess
    usual: Layout = None
    learnt: dict[str, ImagePreprocess | None] = field(default_factory=dict[str, Any])

    @property
    def task(self) -> str:
        return "image"

    def split(self, raw: Any) -> list[Any] | None:
        """The pictures of a list, or of a batch (N, C, H, W) or array (N, H, W, C)."""
        if isinstance(raw, list | tuple):
            return list(raw)
        if is_array(raw) and raw.ndim == 4 and len(raw) > 1:
            return list(raw)
        return None

    def read(self, raw: Any) -> Example:
        """One picture, preprocessed; what was done to it is noted."""
        if isinstance(raw, Tensor) and raw.dtype != torch.uint8:
            return self._preprocessed(raw)
        if isinstance(raw, Tensor):
            raw = _channels_last(raw)
        image, notes = read_picture(raw)
        if isinstance(self.preprocess, ImagePreprocess):
            pixels = self.preprocess.cut(image)
            x = self.preprocess.normalise(pixels)
            shown = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
        else:
            x = self.preprocess(image)
            shown, more = shown_of(x, self._recipe(*image.size))
            notes += more
        check_finite(x, "the preprocessed picture")
        return Example(Carrier({0: x[None].clone()}), INPUT, x, Shown("image", image=shown, notes=notes), notes)

    def features(self, example: Example, layout: Layout, coarse: bool) -> Features:
        """pixels, patches, patches:N, superpixels, superpixels:N, or a map (H, W) of whole numbers."""
        _, height, width = _value(example).shape
        layout, coarse = layouts.settled(layout, self.usual, coarse)
        if layout is not None and not isinstance(layout, str):
            return layouts.given(layout, (height, width), [(-2, -1)])
        name, number = layouts.spelled(layout or ("patches" if coarse else "pixels"), LAYOUTS)
        if name == "superpixels":
            return superpixels(example.shown.image, number or SUPERPIXELS)
        return layouts.over_picture(name, number, height, width)

    def baseline(self, example: Example, spec: Any) -> Tensor | Carrier:
        """mean (the picture's own colour; the usual one), blur, a colour, noise, zero, or a value like x.

        Colours (black, white, grey, #rrggbb, (r, g, b) of 0 to 255) go through the preprocessing; zero
        is zero after it. In noise every pixel has a colour of its own, always the same one.
        """
        x = _value(example)
        name = recorded(spec, "mean")
        if isinstance(name, str):
            if name == "zero":
                return torch.zeros_like(x)
            if name in ("mean", "blur"):
                # Scale and shift commute with averaging, so that this is the picture's own mean or blur.
                return picture.mean_colour(x) if name == "mean" else picture.blurred(x)
            if name == "noise":
                return self._noise(x)
            colour = _hexadecimal(name) if name.startswith("#") else COLOURS.get(name)
            if colour is not None:
                return self._coloured(x, colour)
        elif isinstance(spec, tuple | list):
            return self._coloured(x, _triple(spec))
        value = given_value(spec, x)
        if value is None:
            raise OptionError("baseline.unknown", f"the baseline {spec!r}" if isinstance(spec, str)
                              else f"a {type(spec).__name__} as baseline",
                              ", ".join(BASELINES) + ", #rrggbb, (r, g, b) or a tensor",
                              nearest(str(name), BASELINES) if isinstance(spec, str) else "choose one of these")
        return value

    def layout_of(self, layout: Layout, coarse: bool) -> str:
        """The layout's name, with its size where that is the same for every picture."""
        layout, coarse = layouts.settled(layout, self.usual, coarse)
        name = layouts.layout_name(layout, "patches" if coarse else "pixels")
        fixed = self.preprocess.fixed if isinstance(self.preprocess, ImagePreprocess) else None
        if name == "patches" and fixed is not None:
            return f"patches:{layouts.about_eight(*fixed)}"
        return f"superpixels:{SUPERPIXELS}" if name == "superpixels" else name

    def baseline_of(self, spec: Any) -> Any:
        """The baseline's name, or the value itself."""
        return recorded(spec, "mean")

    def _recipe(self, width: int = 256, height: int = 256) -> ImagePreprocess | None:
        """How colours are scaled, asked of a callable once."""
        if isinstance(self.preprocess, ImagePreprocess):
            return self.preprocess
        if "colours" not in self.learnt:
            self.learnt["colours"] = self.preprocess.colours(width, height)
        return self.learnt["colours"]

    def _preprocessed(self, raw: Tensor) -> Example:
        channels = self.preprocess.channels if isinstance(self.preprocess, ImagePreprocess) else None
        fixed = self.preprocess.fixed if isinstance(self.preprocess, ImagePreprocess) else None
        value = own(raw, "the picture")
        value = value[0] if value.dim() == 4 and len(value) == 1 else value
        if not value.is_floating_point():
            raise InputError("input.integer", f"a tensor of {str(value.dtype).removeprefix('torch.')}",
                             "a floating tensor that is already preprocessed, or bytes (uint8)",
                             "give the picture as an array (height, width, 3)")
        wrong = value.dim() != 3 or value.shape[0] not in ((channels,) if channels else (1, 3))
        if wrong or (fixed is not None and tuple(value.shape[1:]) != fixed):
            size = f"{fixed[0]}, {fixed[1]}" if fixed else "height, width"
            raise InputError("image.shape", f"a tensor of shape {tuple(value.shape)}",
                             f"({channels or 3}, {size}), already preprocessed",
                             "give the picture itself (file, PIL, array) and it is resized for you")
        check_finite(value, "the picture")
        shown, notes = shown_of(value, self._recipe())
        carrier = Carrier({0: value[None].clone()})
        return Example(carrier, INPUT, value, Shown("image", image=shown, notes=notes), notes)

    def _noise(self, x: Tensor) -> Tensor:
        """Every colour is as likely as any other in every pixel: between black and white, as the model sees them."""
        dark, light = self._coloured(x, COLOURS["black"]), self._coloured(x, COLOURS["white"])
        share = torch.rand(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return dark + share.to(x) * (light - dark)

    def _coloured(self, x: Tensor, rgb: Sequence[int]) -> Tensor:
        from PIL import Image

        height, width = x.shape[1:]
        if isinstance(self.preprocess, ImagePreprocess):
            grey = self.preprocess.channels == 1
            pixels = np.asarray(Image.new("RGB", (width, height), tuple(rgb)).convert("L" if grey else "RGB"))
            return self.preprocess.normalise(pixels.reshape(height, width, self.preprocess.channels)).to(x)
        made = self.preprocess.colour(rgb, width, height).to(x)
        if self._recipe() is not None:
            # A scale and a shift: any pixel tells the colour, and the middle one is not padding.
            return made[:, made.shape[1] // 2, made.shape[2] // 2].view(-1, 1, 1).expand(x.shape).clone()
        if made.shape != x.shape:
            raise OptionError("baseline.shape", f"a colour of shape {tuple(made.shape)}", f"{tuple(x.shape)}",
                              "choose mean, blur, zero or a tensor: this preprocessing changes sizes")
        return made


def superpixels(image: np.ndarray[Any, Any] | None, number: int) -> Features:
    """About `number` regions of similar colour, by scikit-image's SLIC."""
    try:
        from skimage.segmentation import slic
    except ImportError as error:
        raise OptionError("extra.missing", "no scikit-image, which cuts superpixels", "the extra 'segments'",
                          "pip install 'pellucid[segments]', or choose patches") from error
    if image is None:
        raise OptionError("features.unfit", "no picture to cut", "an image", "choose another layout")
    if number > image.shape[0] * image.shape[1]:
        raise OptionError("features.size", f"{number} superpixels", f"at most {image.shape[0] * image.shape[1]}",
                          "choose fewer")
    for compactness in (10.0, 100.0, 1e4):
        # Where colours are noise, regions dissolve into one another unless they are held together.
        index = slic(image, n_segments=number, compactness=compactness, start_label=0, channel_axis=-1)
        if index.max() > 0 or number == 1:
            break
    return segments(torch.from_numpy(index.astype(np.int64)), name=f"superpixels:{number}")


def _value(example: Example) -> Tensor:
    if example.x is None:
        raise OptionError("features.unfit", "an example that is no picture", "a picture", "read it with this subject")
    return example.x


def _channels_last(raw: Tensor) -> np.ndarray[Any, Any]:
    raw = raw[0] if raw.dim() == 4 and len(raw) == 1 else raw
    if raw.dim() == 3 and raw.shape[0] in (1, 3, 4) and raw.layout is torch.strided:
        return raw.detach().permute(1, 2, 0).cpu().numpy()
    raise InputError("image.shape", f"a tensor of shape {tuple(raw.shape)}", "(channels, height, width)",
                     "put 1, 3 or 4 channels first")


def _hexadecimal(text: str) -> tuple[int, int, int]:
    digits = text[1:]
    if len(digits) != 6 or any(c not in "0123456789abcdef" for c in digits):
        raise OptionError("baseline.colour", repr(text), "#rrggbb", "write for example '#ff8800'")
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def _triple(spec: Sequence[Any]) -> tuple[int, ...]:
    if len(spec) != 3 or not all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 255 for v in spec):
        raise OptionError("baseline.colour", repr(tuple(spec))[:60], "(red, green, blue) of 0 to 255",
                          "write for example (255, 136, 0)")
    return tuple(spec)
