"""The part of CSS that drawings use: which declarations hold for an element, once the medium is known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_SIMPLE = re.compile(r"""([#.][\w-]+) | (\[[^\]]*\]) | (::?[\w-]+(?:\([^()]*\))?) | ([\w-]+|\*)""", re.VERBOSE)
_ATTRIBUTE = re.compile(r"""\[\s*([\w:-]+)\s*(?:([~|^$*]?=)\s*["']?([^"'\]]*)["']?\s*)?\]""")
_FEATURE = re.compile(r"\(\s*([\w-]+)\s*:\s*([\w-]+)\s*\)")
_DEEP = 16


@dataclass(frozen=True)
class Rule:
    """One selector with its declarations; `chain` runs from the element outwards, with how each is reached."""

    chain: tuple[tuple[str, tuple[str, ...]], ...]
    weight: tuple[int, int, int]
    declared: Mapping[str, str]


class Sheet:
    """Style rules that hold on a medium ("print" or "screen") in a scheme ("light" or "dark")."""

    def __init__(self, text: str, medium: str = "print", scheme: str = "light") -> None:
        self._scheme, self._medium = scheme, medium
        self._rules = dict[str, list[tuple[int, Rule]]]()
        for order, rule in enumerate(self._read(_COMMENT.sub("", text))):
            self._rules.setdefault(_key(rule), []).append((order, rule))

    def of(self, path: Sequence[Element]) -> dict[str, str]:
        """The declarations for the last element of a path from the root, the strongest having won."""
        element = path[-1]
        keys = [tag(element), "*", *("." + c for c in element.get("class", "").split()), f"#{element.get('id', '')}"]
        held = [(rule.weight, order, rule) for key in keys for order, rule in self._rules.get(key, ())
                if _fits(rule.chain, path)]
        found, pressing = dict[str, str](), dict[str, str]()
        for _, _, rule in sorted(held, key=lambda h: h[:2]):
            for name, value in rule.declared.items():
                (pressing if value.endswith("!important") else found)[name] = value.removesuffix("!important").strip()
        for name, value in declarations(element.get("style", "")).items():
            found[name] = value.removesuffix("!important").strip()
        return {**found, **pressing}

    def _read(self, text: str) -> Iterator[Rule]:
        """Rules in order, those in a medium that is not ours left out."""
        for head, body in blocks(text):
            if head.startswith("@media"):
                if any(self._holds(query) for query in head[6:].split(",")):
                    yield from self._read(body)
            elif not head.startswith("@"):
                declared = declarations(body)
                for selector in head.split(","):
                    chain, weight = _parsed(selector)
                    if chain:
                        yield Rule(chain, weight, declared)

    def _holds(self, query: str) -> bool:
        """Whether a media query is true on paper or screen; what cannot be known there is not."""
        inverted = query.strip().startswith("not ")
        true = True
        for part in re.split(r"\band\b", query.strip().removeprefix("not ").removeprefix("only ")):
            feature = _FEATURE.fullmatch(part.strip())
            if feature is None:
                true &= part.strip() in ("all", self._medium)
            else:
                known = {"prefers-color-scheme": self._scheme, "prefers-reduced-motion": "reduce"}
                true &= known.get(feature[1]) == feature[2]
        return true != inverted


def tag(element: Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """What stands before and within each outermost pair of braces."""
    depth, start, head = 0, 0, ""
    for found in re.finditer(r"[{};]", text):
        char = found[0]
        if char == "{":
            if not depth:
                head, start = text[start:found.start()].strip(), found.end()
            depth += 1
        elif char == "}":
            depth -= 1
            if not depth:
                yield head, text[start:found.start()]
                start = found.end()
        elif not depth:
            start = found.end()  # a statement without a block, such as @charset


def declarations(text: str) -> dict[str, str]:
    """Names and values of a block; the last one of a name holds."""
    found = dict[str, str]()
    for part in re.split(r";(?![^(]*\))", text):
        name, colon, value = part.partition(":")
        if colon:
            name = name.strip()
            found[name if name.startswith("--") else name.lower()] = value.strip()
    return found


def resolved(value: str, known: Mapping[str, str], depth: int = 0) -> str:
    """The value with every var() filled in; empty where one is not known and has no fallback."""
    at = value.find("var(")
    if at < 0 or depth > _DEEP:
        return value if at < 0 else ""
    end, level = at + 4, 1
    while end < len(value) and level:
        level += {"(": 1, ")": -1}.get(value[end], 0)
        end += 1
    name, _, fallback = value[at + 4:end - 1].partition(",")
    filled = resolved(known.get(name.strip(), fallback.strip()), known, depth + 1)
    return resolved(value[:at] + filled + value[end:], known, depth + 1) if filled else ""


def _parsed(selector: str) -> tuple[tuple[tuple[str, tuple[str, ...]], ...], tuple[int, int, int]]:
    """A selector from the element outwards; empty where it says what paper does not know (hover, siblings)."""
    parts = re.sub(r"\s*>\s*", " > ", selector).split()
    chain, step, weight = list[tuple[str, tuple[str, ...]]](), "", [0, 0, 0]
    for part in parts:
        if part == ">":
            step = ">"
            continue
        simple = tuple(m[0] for m in _SIMPLE.finditer(part))
        if "".join(simple) != part:
            return (), (0, 0, 0)
        for s in simple:
            if s != "*":
                weight[0 if s[0] == "#" else 1 if s[0] in ".[:" else 2] += 1
        chain.append((step or " ", simple))
        step = ""
    outwards = [(chain[i + 1][0] if i + 1 < len(chain) else "", simple) for i, (_, simple) in enumerate(chain)]
    return tuple(reversed(outwards)), (weight[0], weight[1], weight[2])


def _key(rule: Rule) -> str:
    """The part of a selector by which it is found: a class, an id or a tag of the element itself."""
    simple = rule.chain[0][1]
    named = [s for s in simple if s[0] in "#."]
    tags = [s for s in simple if s[0] not in "#.[:"]
    return named[0] if named else tags[0] if tags else "*"


def _fits(chain: tuple[tuple[str, tuple[str, ...]], ...], path: Sequence[Element]) -> bool:
    """Whether the element at the end of the path is what the chain says."""
    (_, simple), rest = chain[0], chain[1:]
    if not all(_is(s, path) for s in simple):
        return False
    if not rest:
        return True
    above = range(len(path) - 1, 0, -1)
    if rest[0][0] == ">":
        above = above[:1]
    return any(_fits(rest, path[:end]) for end in above)


def _is(simple: str, path: Sequence[Element]) -> bool:
    element = path[-1]
    if simple[0] == "#":
        return element.get("id") == simple[1:]
    if simple[0] == ".":
        return simple[1:] in element.get("class", "").split()
    if simple[0] == "[":
        return _has(simple, element)
    if simple[0] == ":":
        siblings = list(path[-2]) if len(path) > 1 else [element]
        at = {":root": len(path) == 1, ":first-child": siblings[0] is element, ":last-child": siblings[-1] is element}
        inner = re.fullmatch(r":not\((.+)\)", simple)
        if inner:
            return not all(_is(m[0], path) for m in _SIMPLE.finditer(inner[1]))
        return at.get(simple, False)
    return simple in ("*", tag(element))


def _has(simple: str, element: Element) -> bool:
    parsed = _ATTRIBUTE.fullmatch(simple)
    value = element.get(parsed[1]) if parsed else None
    if parsed is None or value is None:
        return False
    wanted = parsed[3] or ""
    return {None: True, "=": value == wanted, "~=": wanted in value.split(), "^=": value.startswith(wanted),
            "$=": value.endswith(wanted), "*=": wanted in value, "|=": value.split("-")[0] == wanted}[parsed[2]]
