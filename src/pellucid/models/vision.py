"""Recognising a torchvision that does not fit the installed torch, the commonest broken installation."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys

from pellucid.words.errors import ModelError

MARK = "operator torchvision::nms does not exist"


def vision_fault() -> ModelError | None:
    """What keeps torchvision (and with it timm and transformers) from being imported; None if nothing."""
    try:
        importlib.import_module("torchvision")
    except Exception as error:
        return fault_of(error, "torchvision", "vision")
    return None


def spare_text_models() -> None:
    """Let transformers do without a torchvision that cannot be imported; its text models need none.

    It asks once whether torchvision is installed, and if so imports it for text models too. Here it is
    asked while torchvision is out of sight, and remembers the answer.
    """
    fault = vision_fault()
    if fault is None or fault.code == "extra.missing":
        return
    for name in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    sys.modules["torchvision"] = None  # type: ignore[assignment]  # "not installed", to whoever looks now
    try:
        asked = importlib.import_module("transformers.utils.import_utils").is_torchvision_available
        asked.cache_clear()
        asked()
    except (ImportError, AttributeError):
        return  # no transformers, or one that asks otherwise: its own error will say so
    finally:
        del sys.modules["torchvision"]


def fault_of(error: BaseException, package: str, extra: str) -> ModelError:
    """The error a user can mend behind a failed import of `package`."""
    if _is_mismatch(error):
        return mismatch()
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == package:
        return ModelError("extra.missing", f"no {package}", f"the extra {extra!r}", f"pip install 'pellucid[{extra}]'")
    return ModelError("extra.broken", f"{type(error).__name__} while importing {package}", f"a working {package}",
                      f"try 'python -c \"import {package}\"' and mend what it says")


def mismatch_in(error: BaseException) -> ModelError | None:
    """The mismatch, where it hides behind this error (transformers reports it as a missing module)."""
    return mismatch() if _is_mismatch(error) else None


def mismatch() -> ModelError:
    """Found, expected and what to do about a torchvision built for another torch."""
    torch, vision = _version("torch"), _version("torchvision")
    build = torch.partition("+")[2] or "cpu"
    return ModelError(
        "vision.mismatch", f"torchvision {vision} beside torch {torch}", "the two built for one another",
        f"pip install --force-reinstall --no-deps torchvision=={vision.partition('+')[0]} "
        f"--index-url https://download.pytorch.org/whl/{build}; text models need no torchvision: "
        "uninstalling it mends them too",
    )


def _is_mismatch(error: BaseException | None) -> bool:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if MARK in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
