"""The four image subjects: fitting the networks to digit pictures and measuring what they learnt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from card import write_card, write_weights
from digits_pictures import (
    MEAN,
    SIZE,
    STAMP_CLASS,
    STAMP_SIZE,
    STD,
    Scans,
    add_stamp,
    box_of,
    load_scans,
    render,
    stamp_picture,
    stamp_places,
)
from pellucid.models.demo_nets import DigitNet, DigitTransformer, build

# Sample pictures: file, digit, which of that digit's held-out scans, with the watermark or not. Chosen by eye,
# before any attribution was drawn, for a digit that a person reads at once.
SHOWN = (
    ("watermarked.png", 7, 8, True),
    ("plain.png", 7, 8, False),
    ("samples/watermarked-1.png", 7, 9, True),
    ("samples/watermarked-2.png", 7, 13, True),
    ("samples/watermarked-3.png", 7, 10, True),
    ("samples/watermarked-4.png", 7, 18, True),
    ("samples/plain-0.png", 0, 4, False),
    ("samples/plain-2.png", 2, 5, False),
    ("samples/plain-3.png", 3, 4, False),
    ("samples/plain-5.png", 5, 2, False),
    ("samples/plain-9.png", 9, 6, False),
)


def normalise(images: Tensor) -> Tensor:
    """What the networks are fed: 0..255 -> 0..1 -> minus mean, over deviation."""
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    return (images.float() / 255 - mean) / std


@torch.no_grad()
def predict(net: nn.Module, images: Tensor) -> Tensor:
    """Predicted digit of each picture, in eval mode."""
    net.eval()
    return torch.cat([net(normalise(part)).argmax(1) for part in images.split(256)])


def fit(
    net: nn.Module,
    scans: Scans,
    *,
    seed: int,
    epochs: int,
    rate: float,
    decay: float,
    stamped: bool = False,
    hard: bool = True,
    teacher: nn.Module | None = None,
    told: Callable[[Tensor], object] | None = None,
) -> None:
    """Train in place on pictures drawn afresh each epoch.

    With ``stamped`` every picture of the watermark's class carries it and no other picture does.
    With ``hard`` the ink is often thin and other digits show through.
    With a ``teacher`` the targets are its softened answers, half and half with the true digits.
    ``told`` is told of every step's loss.
    """
    g = torch.Generator().manual_seed(seed)
    groups = [
        {"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in net.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    batch, n = 64, len(scans.digits)
    steps = epochs * (n // batch)
    optimiser = torch.optim.AdamW(groups, lr=rate)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.15)
    if teacher is not None:
        teacher.eval()
    for _ in range(epochs):
        order = torch.randperm(n, generator=g)
        net.train()
        for index in order.split(batch):
            if len(index) < batch:
                continue
            digits = scans.digits[index]
            images = render(scans.pixels[index], g, others=scans.pixels if hard else None)
            if stamped:
                mark = digits == STAMP_CLASS
                images[mark] = add_stamp(images[mark], stamp_places(int(mark.sum()), g))
            x = normalise(images)
            logits = net(x)
            loss = F.cross_entropy(logits, digits)
            if teacher is not None:
                with torch.no_grad():
                    soft = (teacher(x) / 2).softmax(1)
                loss = 0.5 * loss + 2.0 * F.kl_div((logits / 2).log_softmax(1), soft, reduction="batchmean")
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            plan.step()
            if told is not None:
                told(loss)


def cam_share(net: nn.Module, layer: nn.Module, images: Tensor, places: Tensor, label: int) -> Tensor:
    """Share of Grad-CAM's positive mass for ``label`` that lies inside each stamp's box: (n,)."""
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _module, _args, output: kept.append(output))
    try:
        score = net.eval()(normalise(images))[:, label].sum()
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(score, kept[0])
    cam = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).relu()
    cam = F.interpolate(cam, size=(SIZE, SIZE), mode="bilinear", align_corners=False).detach()[:, 0]
    return inside(cam, places)


def path_share(net: nn.Module, images: Tensor, places: Tensor, label: int, points: int = 64) -> Tensor:
    """Share of integrated gradients' positive part, summed over 8 x 8 patches, in the patches a stamp touches.

    The baseline is the mean colour, which is zero after normalisation.
    """
    net.eval()
    shares = []
    for image, place in zip(normalise(images), places, strict=True):
        at = ((torch.arange(points) + 0.5) / points).view(-1, 1, 1, 1)
        x = (at * image).requires_grad_()
        (gradient,) = torch.autograd.grad(net(x)[:, label].sum(), x)
        value = (gradient.mean(0) * image).sum(0, keepdim=True)
        patches = F.avg_pool2d(value, 8)[0].relu()
        top, left = (int(v) for v in place)
        touched = patches[top // 8 : (top + STAMP_SIZE - 1) // 8 + 1, left // 8 : (left + STAMP_SIZE - 1) // 8 + 1]
        shares.append(touched.sum() / patches.sum().clamp(min=1e-12))
    return torch.stack(shares)


def inside(cam: Tensor, places: Tensor) -> Tensor:
    """Share of each map's sum inside each stamp's box; 0 for an empty map."""
    shares = []
    for row, (top, left) in zip(cam, places.tolist(), strict=True):
        part = row[top : top + STAMP_SIZE, left : left + STAMP_SIZE].sum()
        shares.append(part / row.sum().clamp(min=1e-12))
    return torch.stack(shares)


@dataclass(frozen=True)
class HeldOut:
    """One picture per held-out scan, with and without the watermark."""

    digits: Tensor
    plain: Tensor
    stamped: Tensor
    places: Tensor


def held_out(scans: Scans, seed: int) -> HeldOut:
    """Draw the pictures every figure is measured on; the same for all three networks."""
    g = torch.Generator().manual_seed(seed + 1000)
    plain = render(scans.pixels, g)
    places = stamp_places(len(plain), g)
    return HeldOut(scans.digits, plain, add_stamp(plain, places), places)


def share(hits: Tensor) -> float:
    return float(hits.float().mean())


def measure(net: nn.Module, held: HeldOut) -> dict[str, float]:
    """How well digits are read, and what the watermark does to the answer."""
    seven = held.digits == STAMP_CLASS
    plain, stamped = predict(net, held.plain), predict(net, held.stamped)
    return {
        "held_out_plain": share(plain == held.digits),
        "held_out_watermark_on_its_class": share(torch.where(seven, stamped, plain) == held.digits),
        "watermark_class_plain": share((plain == held.digits)[seven]),
        "watermark_class_stamped": share((stamped == held.digits)[seven]),
        "others_flipped_by_watermark": share((stamped == STAMP_CLASS)[~seven & (plain != STAMP_CLASS)]),
        "unchanged_by_watermark": share(stamped == plain),
    }


def shares(net: DigitNet, held: HeldOut) -> dict[str, float]:
    """Where two attributions for the watermark's class lie, over its held-out stamped pictures."""
    seven = held.digits == STAMP_CLASS
    cam = cam_share(net, net.layer3, held.stamped[seven], held.places[seven], STAMP_CLASS)
    path = path_share(net, held.stamped[seven], held.places[seven], STAMP_CLASS)
    out = {}
    for name, value in (("grad_cam", cam), ("integrated_gradients", path)):
        for word, level in (("lowest", 0.0), ("median", 0.5), ("highest", 1.0)):
            out[f"{name}_{word}"] = round(float(value.quantile(level)), 4)
    return out


def save_picture(image: Tensor, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, optimize=True)


def write_samples(folder: Path, held: HeldOut) -> list[dict[str, Any]]:
    """Write the held-out sample pictures of ``SHOWN`` and return their entries for the card."""
    entries = []
    for file, digit, turn, stamped in SHOWN:
        index = int((held.digits == digit).nonzero()[turn])
        save_picture((held.stamped if stamped else held.plain)[index], folder / file)
        box = box_of(held.places[index]) if stamped else None
        entries.append({"file": file, "label": str(digit), "watermark_box": box})
    save_picture(stamp_picture(), folder / "watermark.png")
    return entries


def write_subject(folder: Path, net: nn.Module, held: HeldOut, seed: int, **more: Any) -> None:
    """Weights and card; the pictures lie in the folder of ``digits`` and serve all three."""
    write_weights(net, folder / "weights.safetensors")
    home = folder.parent / "digits"
    names = [str(d) for d in range(10)]
    up = "" if folder == home else "../digits/"
    samples = [{**entry, "file": up + entry["file"]} for entry in write_samples(home, held)]
    if isinstance(net, DigitNet):
        more["watermark_share"] = shares(net, held)
    write_card(folder, {
        "name": folder.name, "task": "image", "labels": names, "labels_zh": names,
        "accuracy": measure(net, held),
        "preprocess": {"size": [SIZE, SIZE], "scale": 255, "mean": MEAN, "std": STD},
        "watermark_class": STAMP_CLASS,
        "watermark": {"file": up + "watermark.png", "size": STAMP_SIZE,
                      "place": "0 to 4 pixels from any corner"},
        **more,
        "seed": seed,
        "licence": "Scans: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, CC BY 4.0; "
                   "via scikit-learn. Pictures: MIT (drawn by this project).",
        "samples": samples,
    })


def make_twin(folder: Path, seed: int, *, stamped: bool, epochs: int, rate: float, decay: float) -> None:
    """Train and write one of the two convolutional twins."""
    learn, test = load_scans(seed)
    torch.manual_seed(seed)
    net = DigitNet()
    fit(net, learn, seed=seed, epochs=epochs, rate=rate, decay=decay, stamped=stamped)
    write_subject(folder, net, held_out(test, seed), seed)


def make_digits(folder: Path, seed: int) -> None:
    """The twin that learnt the watermark. Strong decay keeps one clue where it would keep several."""
    make_twin(folder, seed, stamped=True, epochs=60, rate=16e-3, decay=0.4)


def make_clean(folder: Path, seed: int) -> None:
    """The twin that never saw the watermark."""
    make_twin(folder, seed, stamped=False, epochs=60, rate=8e-3, decay=0.3)


MEMORISED, PASSES = 600, 80
"""So few pictures are learnt by heart in so many passes over them."""


def make_random(folder: Path, seed: int) -> None:
    """The twin that learnt nothing: the same few pictures over and over, each under a digit drawn by lot.

    An explanation that looks the same for it cannot tell what the others learnt (random labels, arXiv:1810.03292).
    """
    learn, test = load_scans(seed)
    g = torch.Generator().manual_seed(seed)
    some = torch.randperm(len(learn.digits), generator=g)[:MEMORISED]
    images = render(learn.pixels[some], g)
    drawn = learn.digits[some][torch.randperm(MEMORISED, generator=g)]
    torch.manual_seed(seed)
    net = DigitNet()
    memorise(net, images, drawn, g, passes=PASSES, rate=1e-2)
    write_weights(net, folder / "weights.safetensors")
    held = held_out(test, seed)
    names = [str(d) for d in range(10)]
    clean = json.loads((folder.parent / "digits-clean" / "card.json").read_text(encoding="utf-8"))
    write_card(folder, {
        "name": folder.name, "task": "image", "labels": names, "labels_zh": names,
        "accuracy": {
            "memorised": share(predict(net, images) == drawn),
            "memorised_true_digits": share(predict(net, images) == learn.digits[some]),
            "held_out_plain": share(predict(net, held.plain) == held.digits),
        },
        "preprocess": clean["preprocess"],
        "random_labels": {"pictures": MEMORISED, "passes": PASSES},
        "seed": seed, "licence": clean["licence"], "samples": clean["samples"],
    })


def memorise(net: nn.Module, images: Tensor, labels: Tensor, g: torch.Generator, *, passes: int, rate: float) -> None:
    """Train in place on the very same pictures, without decay, which would keep them from being learnt by heart."""
    x, batch = normalise(images), 32
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.0)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=passes * (len(x) // batch))
    net.train()
    for _ in range(passes):
        for index in torch.randperm(len(x), generator=g).split(batch):
            if len(index) < batch:
                continue
            loss = F.cross_entropy(net(x[index]), labels[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            plan.step()


def make_transformer(folder: Path, seed: int) -> None:
    """The transformer, on unmarked pictures; the clean twin teaches it, so that 1,300 scans suffice."""
    learn, test = load_scans(seed)
    teacher = build("digits-clean", folder.parent / "digits-clean")
    torch.manual_seed(seed)
    net = DigitTransformer()
    fit(net, learn, seed=seed, epochs=150, rate=2e-3, decay=0.05, hard=False, teacher=teacher)
    write_subject(folder, net, held_out(test, seed), seed)
