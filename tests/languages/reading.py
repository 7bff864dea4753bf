"""Reads the sources by their syntax trees: every sentence that a finding or an error can say, as templates."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pellucid
from tests.languages.syntax import Module, assigned, called, default, module, parameters, returned

SOURCE = Path(pellucid.__file__).parent
OURS = ("PellucidError", "InputError", "TargetError", "LayerError", "OptionError", "ModelError", "BudgetError",
        "FileError")
"""The errors, whose last three arguments are sentences."""

ASIDES = {
    ("tuning", "_against"): "twin", ("tuning", "_kind"): "twin", ("agreement", "refused"): "twin",
    ("choose", "method_for"): "choice", ("choose", "_all_layers"): "choice", ("stages", "composite"): "choice",
    ("stages", "stages"): "choice",
}
"""Functions whose answers are shown, by file and name, with the code that they are translated under."""

MOST = 24
"""So many wordings of one sentence are told apart; of more, the parts are phrases."""

Template = tuple[str | None, ...]
"""Words and holes (None) in turn."""

HOLE: Template = (None,)


@dataclass(frozen=True)
class Sentence:
    """A wording that a code can say, and where."""

    code: str
    template: str
    where: str


class Reader:
    """What expressions can say: constants, f-strings, sums, choices, names and calls that lead to these."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self.modules = list(modules)
        self.phrases: set[tuple[str, str]] = set()
        self.codes: list[str] = []
        self.elsewhere: dict[str, tuple[Module, ast.FunctionDef]] = {}
        self.properties: dict[str, list[tuple[Module, ast.FunctionDef]]] = defaultdict(list)
        self.callers: dict[str, list[tuple[Module, ast.Call]]] = defaultdict(list)
        self.values: dict[str, tuple[Module, ast.expr]] = {}
        for m in self.modules:
            for name, fn in m.functions.items():
                self.elsewhere.setdefault(name, (m, fn))
                if any(isinstance(d, ast.Name) and d.id == "property" for d in fn.decorator_list):
                    self.properties[name].append((m, fn))
            for name, calls in m.calls.items():
                self.callers[name] += [(m, call) for call in calls]
            for name, value in m.constants.items():
                self.values.setdefault(name, (m, value))

    def said(self, m: Module, node: ast.expr, depth: int = 0) -> set[Template]:
        """Every wording of an expression; a hole for what is only known when it runs."""
        if isinstance(node, ast.Constant):
            return {(node.value,)} if isinstance(node.value, str) else {HOLE}
        if depth > 9:
            return {HOLE}
        if isinstance(node, ast.JoinedStr):
            parts = [self._part(m, part, depth) for part in node.values]
            return self._joined(parts)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            sides = [self.said(m, node.left, depth), self.said(m, node.right, depth)]
            return {HOLE} if sides == [{HOLE}, {HOLE}] else self._joined(sides)
        if isinstance(node, ast.IfExp):
            return self.said(m, node.body, depth) | self.said(m, node.orelse, depth)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return set[Template]().union(*(self.said(m, v, depth) for v in node.values))
        if isinstance(node, ast.Name):
            return self._name(m, node, depth)
        if isinstance(node, ast.Call):
            return self._call(m, node, depth)
        if isinstance(node, ast.Attribute):
            self._property(m, node, depth)
            return {HOLE}
        if isinstance(node, ast.Subscript):
            return self._looked_up(m, node.value, depth)
        return {HOLE}

    def _part(self, m: Module, part: ast.expr, depth: int) -> set[Template]:
        if not isinstance(part, ast.FormattedValue):
            return self.said(m, part, depth)
        if part.format_spec is not None or part.conversion != -1:
            return {HOLE}
        return self.said(m, part.value, depth + 1)

    def _joined(self, parts: list[set[Template]]) -> set[Template]:
        count = 1
        for at, part in enumerate(parts):
            if count * len(part) > MOST:
                self._note(part)
                parts[at] = {HOLE}
            count *= len(parts[at])
        return {_flat(chosen) for chosen in product(*parts)}

    def _note(self, some: Iterable[Template]) -> None:
        """Words that fill a hole are phrases of their own; a single word is a name."""
        for t in some:
            if worded(t) and any(p and (" " in p.strip() or len(t) > 1) for p in t):
                self.phrases |= {(code, written(t)) for code in self.codes}

    def _name(self, m: Module, node: ast.Name, depth: int) -> set[Template]:
        owner = m.owners.get(node)
        while owner is not None:
            found = assigned(owner, node.id)
            if found:
                return set[Template]().union(*(self.said(m, v, depth + 1) for v in found))
            given = parameters(owner)
            if node.id in given:
                return self._argument(m, owner, given, node.id, depth)
            owner = m.owners.get(owner)
        if node.id in m.constants:
            value = m.constants[node.id]
            return self.said(m, value, depth + 1) if isinstance(value, ast.Constant | ast.BinOp) else {HOLE}
        if node.id in self.values and node.id.isupper():
            other, value = self.values[node.id]
            return self.said(other, value, depth + 1) if isinstance(value, ast.Constant | ast.BinOp) else {HOLE}
        return {HOLE}

    def _callers(self, m: Module, fn: ast.FunctionDef) -> list[tuple[Module, ast.Call]]:
        """Who calls a function: in its own file, or where it was imported by name or through its module."""
        found: list[tuple[Module, ast.Call]] = []
        for other, call in self.callers.get(fn.name, ()):
            if isinstance(call.func, ast.Name):
                near = other is m or other.imported.get(fn.name) == m.path.stem
            else:
                called = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
                near = called in (m.path.stem, "self", "cls")
            if near:
                found.append((other, call))
        return found

    def _argument(self, m: Module, owner: ast.FunctionDef, given: list[str], name: str, depth: int) -> set[Template]:
        """What callers give a parameter; a single word is a name."""
        found, callers = set[Template](), self._callers(m, owner)
        if not callers:
            found.add(HOLE)
        for m, call in callers:
            value = next((k.value for k in call.keywords if k.arg == name), None)
            at = given.index(name)
            if value is None and at < len(call.args) and not any(isinstance(a, ast.Starred) for a in call.args):
                value = call.args[at]
            if value is not None:
                found |= {t if any(p and " " in p for p in t) else HOLE for t in self.said(m, value, depth + 1)}
        usual = default(owner, name)
        if usual is not None:
            found |= {t for t in self.said(self.modules[0], usual, depth + 1) if t != HOLE}
        return found or {HOLE}

    def _call(self, m: Module, node: ast.Call, depth: int) -> set[Template]:
        """A function of ours with wordings of its own fills a hole with phrases; `get` looks into a constant."""
        name = called(node)
        if name == "get" and isinstance(node.func, ast.Attribute) and node.args:
            found = self._looked_up(m, node.func.value, depth)
            more = self.said(m, node.args[1], depth + 1) if len(node.args) > 1 else set[Template]()
            return found | more
        if name == "join" and node.args:
            listed, owner = node.args[0], m.owners.get(node)
            if isinstance(listed, ast.Name) and owner is not None:
                listed = next(iter(assigned(owner, listed.id)), listed)
            if isinstance(listed, ast.GeneratorExp | ast.ListComp):
                self._note(self.said(m, listed.elt, depth + 1))
            return {HOLE}
        if name == "next" and len(node.args) == 2 and isinstance(node.args[0], ast.GeneratorExp):
            return self.said(m, node.args[0].elt, depth + 1) | self.said(m, node.args[1], depth + 1)
        if name in m.functions or (name in self.elsewhere and isinstance(node.func, ast.Name)):
            other, fn = (m, m.functions[name]) if name in m.functions else self.elsewhere[name]
            if fn.returns is not None and "str" in ast.unparse(fn.returns) and depth < 8:
                for value in returned(fn):
                    self._note(self.said(other, value, depth + 1))
        return {HOLE}

    def _property(self, m: Module, node: ast.Attribute, depth: int) -> None:
        """What a property says fills a hole with phrases."""
        found = self.properties.get(node.attr, ())
        if len(found) == 1 and depth < 8:
            for value in returned(found[0][1]):
                self._note(self.said(found[0][0], value, depth + 1))

    def _looked_up(self, m: Module, node: ast.expr, depth: int) -> set[Template]:
        if not isinstance(node, ast.Name):
            return self._of_dict(m, node, depth)
        value = m.constants.get(node.id)
        if value is None and node.id in self.values:
            m, value = self.values[node.id]
        owner = m.owners.get(node)
        if value is None and owner is not None:
            found = assigned(owner, node.id)
            value = found[0] if found else None
        return self._of_dict(m, value, depth) if value is not None else {HOLE}

    def _of_dict(self, m: Module, node: ast.expr, depth: int) -> set[Template]:
        if isinstance(node, ast.Dict) and all(v is not None for v in node.values):
            found = set[Template]()
            for v in node.values:
                found |= self.said(m, v, depth + 1)
            if len(found) <= 12:
                return found
            self._note(found)
        return {HOLE}


def _flat(parts: Iterable[Template]) -> Template:
    made: list[str | None] = []
    for piece in (p for part in parts for p in part):
        if piece is not None and made and isinstance(made[-1], str):
            made[-1] += piece
        elif piece != "":
            made.append(piece)
    return tuple(made)


def written(t: Template) -> str:
    """A template as the catalogue writes it: holes as {0}, {1}, …, braces doubled."""
    made, n = "", 0
    for piece in t:
        if piece is None:
            made, n = f"{made}{{{n}}}", n + 1
        else:
            made += piece.replace("{", "{{").replace("}", "}}")
    return made


def worded(t: Template) -> bool:
    """Whether there is a word to translate: two letters in a row outside quotes, names and flags."""
    from pellucid.languages.sentences import plain

    return not plain(written(t))


def sources(root: Path = SOURCE) -> list[Module]:
    """Every module of the package."""
    return [module(p) for p in sorted(root.rglob("*.py")) if "languages" not in p.relative_to(root).parts
            and "testing" not in p.relative_to(root).parts]


def sentences(modules: Iterable[Module]) -> tuple[list[Sentence], list[tuple[str, str]]]:
    """What findings and errors can say, by code; and the phrases that fill their holes."""
    reader = Reader(modules)
    found: dict[tuple[str, str], Sentence] = {}
    for m in reader.modules:
        for name, fn in m.functions.items():
            code = ASIDES.get((m.path.stem, name))
            for value in returned(fn) if code else []:
                for t in reader.said(m, value):
                    if worded(t) and code and any(p and " " in p for p in t):
                        found.setdefault((code, written(t)), Sentence(code, written(t), f"{m.path.name}:{fn.lineno}"))
        for name, calls in m.calls.items():
            for call in calls:
                for codes, told in _speaks(reader, m, name, call):
                    for code, t in product(codes, told):
                        if worded(t):
                            here = Sentence(code, written(t), f"{m.path.name}:{call.lineno}")
                            found.setdefault((code, written(t)), here)
    return sorted(found.values(), key=lambda s: (s.code, s.template)), sorted(reader.phrases)


def _speaks(reader: Reader, m: Module, name: str, call: ast.Call) -> Iterator[tuple[list[str], set[Template]]]:
    """The codes of a call with what each of its sentences can say."""
    args = call.args
    code, parts = (args[0] if args else None), list[ast.expr]()
    if name == "Finding" and len(args) >= 3:
        parts = args[2:4]
    elif name == "Check" and len(args) >= 3:
        code, parts = ast.Constant("doctor"), [args[0], *args[2:4]]
    elif name == "progress" and len(args) >= 2:
        code, parts = ast.Constant("shell"), args[:1]
    elif name == "translated" and len(args) >= 2 and isinstance(args[0], ast.Constant):
        parts = args[1:2]
    elif ast.unparse(call.func) == "notes.append" and len(args) == 1 and m.path.parent.name == "models":
        code, parts = ast.Constant("note"), args
    elif name == "Rounding" and len(args) == 3:
        code, parts = ast.Constant("format"), args[2:]
    elif name == "Twin":
        code, parts = ast.Constant("twin"), [k.value for k in call.keywords if k.arg == "refused"]
    elif name == "Usual" and len(args) == 3:
        code, parts = ast.Constant("choice"), args[2:]
    elif len(args) == 4 and (name in OURS or (name == "__init__" and isinstance(code, ast.Constant))):
        parts = args[1:]
    if code is None or not parts:
        return
    owner = m.owners.get(code)
    given = parameters(owner) if owner is not None else []
    if owner is not None and isinstance(code, ast.Name) and code.id in given:
        for other, outer in reader._callers(m, owner):
            known = dict(zip(given, outer.args, strict=False)) | {k.arg: k.value for k in outer.keywords if k.arg}
            codes = reader.codes = _codes(reader, other, known[code.id]) if code.id in known else ["*"]
            for part in parts:
                theirs = isinstance(part, ast.Name) and part.id in known
                yield codes, reader.said(other, known[part.id]) if theirs else reader.said(m, part)  # pyright: ignore[reportAttributeAccessIssue]
        return
    codes = reader.codes = _codes(reader, m, code)
    for part in parts:
        yield codes, reader.said(m, part)


def _codes(reader: Reader, m: Module, node: ast.expr) -> list[str]:
    return ["*" if t == HOLE else "".join("*" if p is None else p for p in t) for t in reader.said(m, node)]
