"""`load`: a Subject by name, from a demo, a library, a file or a function of one's own."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import torch
from torch import nn

from pellucid.models.local_file import check_file
from pellucid.models.module import read_labels, wrap
from pellucid.models.subject import Subject
from pellucid.models.weights import PICKLES, load_strictly, read_weights, untrusted
from pellucid.words.errors import ModelError, OptionError, PellucidError, nearest

FORMS = {
    "demo": "demo:NAME", "torchvision": "torchvision:NAME", "timm": "timm:NAME", "hf": "hf:PATH_OR_ID",
    "file": "file:model.pt2", "python": "python:package.module:function",
}


def load(name: str, *, trust: bool = False, device: Any = None, labels: Any = None) -> Subject:
    """A Subject by name.

    `demo:NAME`, `torchvision:NAME`, `timm:NAME` (both with `@weights.safetensors` for weights of one's
    own or `?weights=random`), `hf:PATH_OR_ID`, `file:model.pt2`, `python:package.module:function` (with
    `@weights.safetensors`; the function is called without arguments and gives a module or a Subject).

    `trust` allows what can run commands of its author: .pt2 files, pickled weights, code from the hub.
    """
    if not isinstance(name, str):
        raise ModelError("source.unknown", f"a {type(name).__name__}", ", ".join(FORMS.values()),
                         "give a name, or pellucid.wrap(module)")
    scheme, colon, rest = name.strip().partition(":")
    if not colon or scheme not in FORMS or not rest:
        raise _unknown(name, scheme, rest)
    subject = _SCHEMES[scheme](rest, trust)
    if labels is not None:
        subject = replace(subject, labels=read_labels(labels), labels_zh=())
    if device is not None:
        _move(subject.module, device)
    return subject


def _demo(rest: str, trust: bool) -> Subject:
    from pellucid.models.demo import demo

    return demo(rest)


def _torchvision(rest: str, trust: bool) -> Subject:
    from pellucid.models import hub

    return hub.from_torchvision(*_dissected(rest), trust)


def _timm(rest: str, trust: bool) -> Subject:
    from pellucid.models import hub

    return hub.from_timm(*_dissected(rest), trust)


def _hugging_face(rest: str, trust: bool) -> Subject:
    from pellucid.models import hub

    return hub.from_hugging_face(rest, trust)


def _file(rest: str, trust: bool) -> Subject:
    path = Path(rest).expanduser()
    if path.is_dir() and (path / "config.json").is_file():
        raise ModelError("source.folder", "a folder with config.json", "a file", "load it as hf:FOLDER")
    place = check_file(path)
    if place.suffix == ".pt2":
        return _exported(place, trust)
    if place.suffix in PICKLES or place.suffix == ".safetensors":
        weights = read_weights(place, trust=trust)
        raise ModelError("source.no_architecture", f"{len(weights)} tensors without the code that uses them",
                         "weights together with an architecture",
                         "name the function that builds the module: python:package.module:function@FILE")
    raise ModelError("source.unknown_file", f"a file ending in {place.suffix or 'nothing'}",
                     ".pt2, or weights beside their architecture",
                     "export the model with torch.export, or use python:package.module:function")


def _exported(place: Path, trust: bool) -> Subject:
    if not trust:
        # torch.export.load falls back to pickle, which runs commands.
        raise untrusted(place.suffix)
    try:
        module = torch.export.load(str(place)).module()
    except Exception as error:
        raise ModelError("source.unreadable", "a .pt2 file that torch.export cannot load", "a program of torch.export",
                         "export it again with the torch that is installed here") from error
    return wrap(module, name="file", card={"source": "file", "exported": True})


def _python(rest: str, trust: bool) -> Subject:
    spelled, _, weights = rest.partition("@")
    module_name, colon, function = spelled.rpartition(":")
    if not colon or not module_name or not function.isidentifier():
        raise ModelError("source.unreadable", repr(f"python:{rest}"[:80]), FORMS["python"],
                         "put a colon between the module and its function")
    made = _called(_found(_imported(module_name), module_name, function), f"{module_name}:{function}")
    if isinstance(made, Subject):
        if weights:
            load_strictly(made.module, read_weights(weights, trust=trust))
        return made
    if not isinstance(made, nn.Module):
        raise ModelError("source.not_a_model", f"a {type(made).__name__} from {function}",
                         "a torch.nn.Module or a Subject", "return the module itself")
    if weights:
        load_strictly(made, read_weights(weights, trust=trust))
    return wrap(made, name=f"python:{spelled}", card={"source": f"python:{spelled}"})


def _imported(name: str) -> Any:
    """The module; what lies in the working folder can be imported, as with `python -m`."""
    here = os.getcwd()
    added = here not in sys.path and "" not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except PellucidError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and (name + ".").startswith(error.name + "."):
            raise ModelError("source.unknown_module", f"no module {error.name!r}", "a module that can be imported",
                             "run from the folder that holds it, or install it") from error
        raise ModelError("source.failed", f"{type(error).__name__} while importing {name}",
                         "a module that can be imported", f"try 'python -c \"import {name}\"' first") from error
    finally:
        if added and here in sys.path:
            sys.path.remove(here)


def _found(module: Any, module_name: str, function: str) -> Any:
    found = getattr(module, function, None)
    if found is None:
        known = [k for k, v in vars(module).items() if callable(v) and not k.startswith("_")]
        raise ModelError("source.unknown_function", f"no {function!r} in {module_name}",
                         "a function that builds the model", nearest(function, known))
    return found


def _called(found: Any, name: str) -> Any:
    if isinstance(found, nn.Module | Subject):
        return found
    if not callable(found):
        raise ModelError("source.not_a_model", f"a {type(found).__name__} at {name}", "a function or a module",
                         "name the function that builds the model")
    try:
        return found()
    except PellucidError:
        raise
    except Exception as error:
        raise ModelError("source.failed", f"{type(error).__name__} in {name}()", "a function that needs no arguments",
                         "call it yourself to see the error") from error


def _dissected(rest: str) -> tuple[str, dict[str, str], str]:
    """NAME[?option=value][@weights] in its three parts."""
    front, _, weights = rest.partition("@")
    name, _, query = front.partition("?")
    return name, dict(parse_qsl(query, keep_blank_values=True)), weights


def _move(module: nn.Module, device: Any) -> None:
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise OptionError("device.unknown", repr(device)[:40], "cpu, cuda, cuda:0, mps, …",
                          "name a device of torch") from error
    try:
        module.to(place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError("device.unavailable", f"no {place.type} that torch can use here", "a device of this machine",
                         "leave device= out, or choose cpu") from error


def _unknown(name: str, scheme: str, rest: str) -> ModelError:
    do = "write " + ", ".join(FORMS.values())
    if rest and scheme not in FORMS:
        do = nearest(scheme, FORMS)
    elif not rest and Path(name).expanduser().exists():
        do = "write file:NAME for a file, hf:NAME for a folder"
    return ModelError("source.unknown", repr(name[:80]), ", ".join(FORMS.values()), do)


_SCHEMES: dict[str, Callable[[str, bool], Subject]] = {
    "demo": _demo, "torchvision": _torchvision, "timm": _timm, "hf": _hugging_face, "file": _file, "python": _python,
}
