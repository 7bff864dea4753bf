"""Files of Python as trees: which function a node stands in, what a name is given, who is called."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Module:
    """A file with what its names stand for."""

    path: Path
    tree: ast.Module
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    constants: dict[str, ast.expr] = field(default_factory=dict)
    owners: dict[ast.AST, ast.FunctionDef] = field(default_factory=dict)
    calls: dict[str, list[ast.Call]] = field(default_factory=lambda: defaultdict(list))
    imported: dict[str, str] = field(default_factory=dict)


def module(path: Path, text: str | None = None) -> Module:
    """A file of Python, read."""
    found = Module(path, ast.parse(path.read_text("utf-8") if text is None else text))
    for node in found.tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for name in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(name, ast.Name):
                    found.constants[name.id] = node.value

    def owned(node: ast.AST, owner: ast.FunctionDef | None) -> None:
        for child in ast.iter_child_nodes(node):
            if owner is not None:
                found.owners[child] = owner
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                found.functions[child.name] = child  # pyright: ignore[reportArgumentType]
            if isinstance(child, ast.Call):
                found.calls[called(child)].append(child)
            owned(child, child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else owner)  # pyright: ignore[reportArgumentType]

    owned(found.tree, None)
    for node in ast.walk(found.tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.imported |= {a.asname or a.name: node.module.rpartition(".")[2] for a in node.names}
    return found


def called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def own(fn: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions in it."""
    todo: list[ast.AST] = list(fn.body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)


def assigned(fn: ast.FunctionDef, name: str) -> list[ast.expr]:
    found: list[ast.expr] = []
    for node in own(fn):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name) and target.id == name:
                    found.append(node.value)
                elif isinstance(target, ast.Tuple):
                    found += unpacked(target, node.value, name)
        elif isinstance(node, ast.NamedExpr) and node.target.id == name:
            found.append(node.value)
        elif isinstance(node, ast.For) and isinstance(node.target, ast.Tuple):
            rows = node.iter.elts if isinstance(node.iter, ast.Tuple | ast.List) else []
            for row in rows:
                found += unpacked(node.target, row, name)
    return found


def unpacked(target: ast.Tuple, value: ast.expr, name: str) -> list[ast.expr]:
    for at, part in enumerate(target.elts):
        if isinstance(part, ast.Name) and part.id == name:
            if isinstance(value, ast.Tuple) and at < len(value.elts):
                return [value.elts[at]]
            if isinstance(value, ast.IfExp):
                return [v for side in (value.body, value.orelse) for v in unpacked(target, side, name)]
            return [ast.Constant(0)]
    return []


def parameters(fn: ast.FunctionDef) -> list[str]:
    names = [a.arg for a in (*fn.args.posonlyargs, *fn.args.args)]
    return [n for n in names if n not in ("self", "cls")] + [a.arg for a in fn.args.kwonlyargs]


def default(fn: ast.FunctionDef, name: str) -> ast.expr | None:
    names = [a.arg for a in (*fn.args.posonlyargs, *fn.args.args)]
    pairs = dict(zip(names[len(names) - len(fn.args.defaults):], fn.args.defaults, strict=True))
    pairs |= {a.arg: d for a, d in zip(fn.args.kwonlyargs, fn.args.kw_defaults, strict=True) if d is not None}
    return pairs.get(name)


def returned(fn: ast.FunctionDef) -> list[ast.expr]:
    found: list[ast.expr] = []
    for node in own(fn):
        if isinstance(node, ast.Return) and node.value is not None:
            found += node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    return found
