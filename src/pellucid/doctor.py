"""doctor(): does this installation work, and what to do where it does not."""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.languages.choice import spoken
from pellucid.languages.sentences import translated
from pellucid.models.vision import vision_fault
from pellucid.printing.fonts import INSTALL, chinese_font
from pellucid.version import __version__
from pellucid.words.errors import PellucidError

OLDEST, SAFE = (2, 6), (2, 10)
"""torch below the first does not work with Pellucid; below the second, loading weights has known holes."""

NEEDED = ("numpy", "pillow", "safetensors", "pydantic", "typer", "rich")
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "vision": ("torchvision", "timm"), "text": ("transformers", "tokenizers"), "segments": ("scikit-image",),
    "tables": ("pandas",), "plot": ("matplotlib",), "training": ("tensorboard",), "oracles": ("captum",),
}
CLOSE, WRONG = 1e-4, 1e-2
"""Largest relative error on a device that is fine, and from which its explanations are wrong."""

LITTLE = 500_000_000


@dataclass(frozen=True)
class Check:
    """One thing looked at: `pass`, `warn`, `fail`, or `info` for what is only worth knowing."""

    name: str
    status: str
    found: str
    do: str = ""
    code: str = ""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def told(self, lang: str | None = None) -> tuple[str, str, str]:
        """What was looked at, what was found and what to do, in a language; None is PELLUCID_LANG, else English."""
        name, found, do = (translated("doctor", part, lang) for part in (self.name, self.found, self.do))
        code = self.code or "doctor"  # what an error said of it has the error's own code
        return name, translated(code, found, lang), translated(code, do, lang)


@dataclass(frozen=True)
class Report:
    """What the doctor found."""

    checks: tuple[Check, ...]

    @property
    def status(self) -> str:
        """`fail` where something is broken, `warn` where something should be mended, else `pass`."""
        levels = {c.status for c in self.checks}
        return "fail" if "fail" in levels else "warn" if "warn" in levels else "pass"

    def __getitem__(self, name: str) -> Check:
        return next(c for c in self.checks if c.name == name)

    def as_dict(self) -> dict[str, Any]:
        """For machines (`pellucid doctor --json`)."""
        return {"status": self.status, "checks": [asdict(c) for c in self.checks]}

    def __str__(self) -> str:
        told = [(c.status, *c.told(spoken())) for c in self.checks]
        lines = [f"{status:<4}  {name}: {found}" + (f"\n      {do}" if do else "") for status, name, found, do in told]
        return "\n".join([*lines, f"{self.status}: {sum(c.status == 'fail' for c in self.checks)} broken"])


def doctor() -> Report:
    """Look at versions, builds that do not fit one another, devices, memory and fonts.

    Every device explains a tiny network and is compared with the closed form in float64 on the CPU.
    """
    return Report(tuple(_checks()))


def _checks() -> Iterator[Check]:
    yield Check("pellucid", "pass", __version__)
    good = sys.version_info >= (3, 11)
    yield Check("python", "pass" if good else "fail", f"{platform.python_version()} on {platform.system()} "
                f"{platform.machine()}", "" if good else "install Python 3.11 or newer")
    yield torch_version(torch.__version__)
    yield from (_needed(name) for name in NEEDED)
    yield _bridge()
    yield _methods()
    for extra, packages in EXTRAS.items():
        yield from _extra(extra, packages)
    for device in devices():
        yield explained_on(device)
    for device in devices():
        yield _memory(device)
    yield _fonts()


def torch_version(version: str) -> Check:
    """Whether this torch is new enough to work, and to load weights from strangers."""
    numbers = tuple(int(p) for p in version.partition("+")[0].split(".")[:2] if p.isdigit())
    if numbers < OLDEST:
        return Check("torch", "fail", version, f"pip install 'torch>={OLDEST[0]}.{OLDEST[1]}': Pellucid needs it",
                     "torch.too_old")
    if numbers < SAFE:
        return Check("torch", "warn", version, f"below {SAFE[0]}.{SAFE[1]}: there are security advisories for loading "
                     "weights; load none from strangers, or pip install --upgrade torch", "torch.advisories")
    return Check("torch", "pass", version)


def _needed(name: str) -> Check:
    found = _version(name)
    return Check(name, "pass", found) if found else Check(name, "fail", "not installed", f"pip install {name}",
                                                          "package.missing")


def _bridge() -> Check:
    """NumPy 2 beside a torch built for NumPy 1 loads, and fails at the first conversion."""
    try:
        import numpy as np

        torch.from_numpy(np.ones(1)).numpy()
    except Exception as error:
        return Check("torch and numpy", "fail", f"no conversion between them ({type(error).__name__})",
                     "pip install --upgrade torch numpy: they were built for different versions", "numpy.mismatch")
    return Check("torch and numpy", "pass", "convert into each other")


def _methods() -> Check:
    """Methods of other packages come by entry point, and may fail to load."""
    from pellucid import catalog

    try:
        return Check("methods", "pass", f"{len(catalog.methods())} in the catalogue")
    except Exception as error:
        return Check("methods", "fail", f"{type(error).__name__} while loading another package's method",
                     "uninstall the package that declares it in the group pellucid.methods, or mend it",
                     "methods.broken")


def _extra(extra: str, packages: tuple[str, ...]) -> Iterator[Check]:
    versions = {p: _version(p) for p in packages}
    missing = [p for p, v in versions.items() if not v]
    told = ", ".join(f"{p} {v}" if v else f"no {p}" for p, v in versions.items())
    if missing:
        yield Check(f"extra {extra}", "info", told, f"pip install 'pellucid[{extra}]'", "extra.missing", versions)
    else:
        yield Check(f"extra {extra}", "pass", told, data=versions)
    # Also without the extra: a torchvision that does not fit keeps text models from being imported.
    if extra == "vision" and versions["torchvision"]:
        yield _vision()
    if extra == "text" and not missing:
        yield _imports("transformers", "transformers.models.bert.modeling_bert")


def _vision() -> Check:
    fault = vision_fault()
    if fault is None:
        return Check("torchvision beside torch", "pass", "built for one another")
    return Check("torchvision beside torch", "fail", fault.found, fault.do, fault.code)


def _imports(name: str, module: str) -> Check:
    """Whether the part that models need can be imported, which is more than the package itself."""
    from pellucid.models.vision import fault_of

    try:
        importlib.import_module(module)
    except Exception as error:
        fault = fault_of(error, name, "text")
        do = "mend torchvision first, see above" if fault.code == "vision.mismatch" else fault.do
        return Check(f"{name} models", "fail", fault.found, do, fault.code)
    return Check(f"{name} models", "pass", "can be imported")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def devices() -> list[str]:
    """Every device that torch can use here."""
    found = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        found.append("mps")
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        found += [f"xpu:{i}" for i in range(torch.xpu.device_count())]
    return found


class _Squares(nn.Module):
    """Squares of a convolution, weighed: its integrated gradients from zero are x · ∂f/∂x / 2, exactly."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.head = nn.Linear(8 * 6 * 6, 2, bias=False)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=draw) / 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.conv(x) ** 2).flatten(1))


def explained_on(device: str) -> Check:
    """A tiny explanation on a device against the closed form in float64 on the CPU."""
    from pellucid.explain import explain

    name = f"explains on {device}"
    label = device if not device.startswith("cuda") else f"{torch.cuda.get_device_name(device)}"
    model, x = _Squares().eval(), torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    exact, wide = x.double().requires_grad_(), _Squares().eval().double()
    (slope,) = torch.autograd.grad(wide(exact)[0, 1], exact)
    want = (exact * slope / 2)[0].detach()
    try:
        found = explain(model.to(device), x.to(device), "integrated_gradients", target=1, baseline="zero", steps=9)
        got = (found.elements if found.elements is not None else found.values).double().cpu().reshape(want.shape)
    except PellucidError as error:
        return Check(name, "fail", error.found, error.do, error.code)
    except Exception as error:
        return Check(name, "fail", f"{type(error).__name__} in a tiny explanation",
                     f"use another device, and check the driver of {device}", "device.broken")
    off = float((got - want).norm() / want.norm())
    seen = f"{label}: relative error {off:.1e} against the closed form in float64"
    if not off <= CLOSE:
        return Check(name, "warn" if off < WRONG else "fail", seen, "reduced precision or a faulty kernel: check "
                     "torch.backends settings, or use the cpu", "device.inexact", {"error": off})
    return Check(name, "pass", seen, data={"error": off})


def _memory(device: str) -> Check:
    from pellucid.engine.memory import free_bytes

    try:
        room = free_bytes(torch.device(device))
    except Exception as error:
        return Check(f"memory of {device}", "warn", f"unknown ({type(error).__name__})", "give --budget yourself")
    told = f"{room / 1e9:.1f} GB that a pass may take"
    if room < LITTLE:
        return Check(f"memory of {device}", "warn", told, "close other programs, or give a smaller --budget",
                     "memory.little", {"bytes": room})
    return Check(f"memory of {device}", "pass", told, data={"bytes": room})


def _fonts() -> Check:
    """Drawings carry real text; Chinese shows only where a font has it."""
    name = chinese_font()
    if name:
        return Check("Chinese letters", "pass", name)
    return Check("Chinese letters", "info", "no font with Chinese letters here; drawings are whole where one is",
                 f"install {INSTALL['chinese']}", "font.missing")
