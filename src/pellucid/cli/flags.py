"""Options of methods as flags: read off the signature that also makes the recipe."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from typer.core import TyperCommand

from pellucid.words.errors import OptionError, nearest

KEY = "pellucid.options"
"""Where the flags of the methods wait in the context of the command."""


class MethodFlags(TyperCommand):
    """A command that takes, besides its own flags, those of the methods it is given.

    The catalogue (and with it torch) is imported only where a flag is not the command's own.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = {spelled: p for p in self.params for spelled in (*p.opts, *p.secondary_opts)}
        asked = {"-h", "--help"} & set(args)
        rest, found = (args, {}) if asked else separated(list(args), own)
        ctx.meta[KEY] = found
        return super().parse_args(ctx, rest)


def separated(args: list[str], own: Mapping[str, Any]) -> tuple[list[str], dict[str, str | bool]]:
    """The command's own arguments, and the flags of methods with their values as written."""
    methods = _given(args, "--method", "-m")
    metrics = _given(args, "--metric") if "--metric" in own else None
    rest: list[str] = []
    found: dict[str, str | bool] = {}
    kinds: dict[str, Any] | None = None
    while args:
        word = args.pop(0)
        flag, equals, value = word.partition("=")
        if word == "--":
            return [*rest, word, *args], found
        if not re.fullmatch(r"--[A-Za-z][\w-]*", flag) or flag in own:
            rest.append(word)
            param = own.get(flag)
            if param is not None and not equals and args and not getattr(param, "is_flag", False):
                rest.append(args.pop(0))
            continue
        kinds = known(methods, metrics) if kinds is None else kinds
        name = flag.removeprefix("--").replace("-", "_")
        off = name.removeprefix("no_")
        if name not in kinds and off in kinds and name != off and _is_switch(kinds[off]) and not equals:
            found[off] = False
        elif name not in kinds:
            raise _unknown(flag, methods, kinds, own)
        elif equals:
            found[name] = value
        elif _is_switch(kinds[name]):
            found[name] = True
        elif args:
            found[name] = args.pop(0)
        else:
            raise OptionError("option.value", f"{flag} without a value", wanted(kinds[name]), f"write {flag} VALUE")
    return rest, found


def _given(args: list[str], *flags: str) -> list[str]:
    """The values of a flag that may be given several times."""
    return [value for flag, value in pairwise(args) if flag in flags] + [
        a.partition("=")[2] for a in args if a.startswith(f"{flags[0]}=")]


def known(methods: Iterable[str], metrics: Iterable[str] | None = None) -> dict[str, tuple[str, Any]]:
    """The options of these methods (of all, if none is named): annotation and default by name.

    Where metrics are asked for as well, also theirs; a name that both have is the methods'.
    """
    from pellucid import catalog

    chosen: list[Any] = [catalog.find(name) for name in methods] or list(catalog.methods().values())
    if metrics is not None:
        chosen = [*([catalog.find_metric(name) for name in metrics] or catalog.metrics().values()), *chosen]
    return {name: (kind_of(m, name), default) for m in chosen for name, default in m.defaults.items()}


def kind_of(method: Any, name: str) -> str:
    """An option's annotation as text; that of its default where there is none."""
    written = method.annotations.get(name)
    if written is None or written in ("Any", Any):
        default = method.defaults[name]
        return "None" if default is None else type(default).__name__
    return written if isinstance(written, str) else getattr(written, "__name__", str(written))


def read(options: Mapping[str, str | bool], methods: Iterable[str], metrics: Iterable[str] | None = None
         ) -> dict[str, Any]:
    """The values of flags as the signature wants them."""
    kinds = known(methods, metrics) if options else {}
    return {name: text if isinstance(text, bool) else value(name, text, kinds[name]) for name, text in options.items()}


def value(name: str, text: str, kind: tuple[str, Any]) -> Any:
    """One value, by the annotation of its option."""
    annotation, default = kind
    parts = [p.strip() for p in re.split(r"\|(?![^\[]*\])", annotation)]
    if text.lower() == "none" and ("None" in parts or default is None):
        return None
    if "bool" in parts and text.lower() in ("true", "yes", "on", "1", "false", "no", "off", "0"):
        return text.lower() in ("true", "yes", "on", "1")
    if re.fullmatch(r"\(?\d+(\s*[x×,]\s*\d+)+\)?", text) and any(p.startswith("tuple") for p in parts):
        return tuple(int(n) for n in re.findall(r"\d+", text))
    open_kind = parts == ["None"] or not {"int", "float", "bool", "str"} & set(parts)
    if ("int" in parts or open_kind) and re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if "float" in parts or open_kind:
        try:
            return float(text)
        except ValueError:
            pass
    if "str" in parts or (open_kind and not any(p.startswith("tuple") for p in parts)):
        return text
    raise OptionError("option.value", f"--{name.replace('_', '-')} {text[:40]}", wanted(kind),
                      f"see pellucid methods for what {name} takes")


def wanted(kind: tuple[str, Any]) -> str:
    """What an option takes, in words."""
    words = {"int": "a whole number", "float": "a number", "str": "a name", "bool": "true or false", "None": "none"}
    parts = [p.strip() for p in re.split(r"\|(?![^\[]*\])", kind[0])]
    return " or ".join(words.get(p, "whole numbers such as 8x8" if p.startswith("tuple") else "a value")
                       for p in parts)


def _unknown(flag: str, methods: list[str], kinds: Mapping[str, Any], own: Iterable[str]) -> OptionError:
    """An unknown flag, with the nearest known ones; another method's flag is named with its method."""
    from pellucid import catalog

    near = [*_flags(kinds), *(o for o in own if o.startswith("--"))]
    do = nearest(flag, near)
    owners: dict[str, list[str]] = {}
    for name, m in catalog.methods().items() if methods else ():
        for theirs in difflib.get_close_matches(flag, _flags(m.defaults), 1, 0.8):
            owners.setdefault(theirs, []).append(name)
    if owners and not difflib.get_close_matches(flag, near, 1, 0.8):
        closest = difflib.get_close_matches(flag, owners, 1, 0.8)[0]
        names = owners[closest]
        do = f"{closest} is an option of {' and '.join(names)}: add --method {names[0]}, or leave it out"
    return OptionError("option.unknown", f"the option {flag}", _expected(methods, kinds), do)


def _is_switch(kind: tuple[str, Any]) -> bool:
    return kind[0] == "bool"


def _flags(names: Iterable[str]) -> list[str]:
    return [f"--{name.replace('_', '-')}" for name in names]


def _expected(methods: list[str], kinds: Mapping[str, Any]) -> str:
    of = ", ".join(methods) or "the methods"
    return f"{', '.join(_flags(sorted(kinds)))} ({of})" if kinds else f"no options besides the command's own ({of})"
