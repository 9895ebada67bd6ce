"""Every code in the sources, with the sentences that are logged or raised with it.

A code is the keyword `code` of `Log.warning`, `Log.error` and `Failure`, and the key "code" of a line that the log
writes itself. mypy refuses a call without one. Here the codes are read from the syntax tree: each must be written as
text, or be chosen from texts, or be the `code` of a failure that has one already.

In a sentence `…` stands for what is only known when it is logged.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from sidecars.chassis.runtime.lifecycle import BadData, BadSettings, IOFailed, Unavailable

ROOT = Path(__file__).resolve().parents[2]
_KINDS = {kind.__name__: kind.exit_code for kind in (BadData, BadSettings, IOFailed, Unavailable)}
_KINDS["SourceChanged"] = IOFailed.exit_code
CODE = re.compile(r"[a-z]+(-[a-z]+)*")


class NotAText(Exception):
    """A code that cannot be read from the source. The message has its place."""


def find(root: Path = ROOT / "sidecars") -> dict[str, list[str]]:
    """Return the sentences of each code, sorted. Raises NotAText."""
    found: dict[str, set[str]] = {}
    for path in sorted(root.rglob("*.py")):
        for code, sentence in _of_module(path):
            found.setdefault(code, set()).update({sentence} if sentence.strip("… :") else set())
    return {code: sorted(found[code]) for code in sorted(found)}


@cache
def find_packages(root: Path = ROOT / "sidecars") -> dict[str, list[str]]:
    """Return the codes of each package below `root` (`ambassador`, `chassis`, …), sorted."""
    packages = sorted(path for path in root.iterdir() if path.is_dir())
    found = {package.name: sorted(find(package)) for package in packages}
    return {name: codes for name, codes in found.items() if codes}


@cache
def find_exit_codes(root: Path = ROOT / "sidecars") -> dict[int, list[str]]:
    """Return the codes of the failures that are raised with each exit code, sorted. Defects have code 70."""
    found: dict[int, set[str]] = {}
    for path in sorted(root.rglob("*.py")):
        if not any(kind in (text := path.read_text()) for kind in _KINDS):
            continue
        tree = ast.parse(text)
        names = _assigned(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (exit_code := _KINDS.get(_name(node.func))):
                codes = [one.value for one in node.keywords if one.arg == "code"]
                found.setdefault(exit_code, set()).update(*(_texts(one, names) for one in codes))
    return {exit_code: sorted(found[exit_code]) for exit_code in sorted(found)}


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


@cache
def _of_module(path: Path) -> list[tuple[str, str]]:
    text = path.read_text()
    if "code=" not in text and '"code"' not in text:
        return []
    tree = ast.parse(text)
    texts = _assigned(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "code" and node.args:
                    found += _pairs(node.args[0], keyword.value, texts, f"{path}:{node.lineno}")
        elif isinstance(node, ast.Dict):
            found += [
                (str(value.value), "")
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and key.value == "code" and isinstance(value, ast.Constant)
            ]
    return found


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the values of names. A name that is assigned twice in a module has its last one: enough for messages."""
    return {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _pairs(message: ast.expr, code: ast.expr, names: dict[str, ast.expr], place: str) -> list[tuple[str, str]]:
    if isinstance(code, ast.Attribute) and code.attr == "code":
        return []  # of a failure, which was raised with a text
    codes, sentences = _texts(code, names), _texts(message, names)
    if not codes or any("…" in one for one in codes):
        raise NotAText(f"{place}: the code must be a text, so that its help can be found")
    if len(codes) > 1 and len(sentences) == len(codes):
        return list(zip(codes, sentences, strict=True))
    return [(one, sentence) for one in codes for sentence in sentences or [""]]


def _texts(value: ast.expr, names: dict[str, ast.expr]) -> list[str]:
    """Return the texts that the expression can be, in the order of the source."""
    match value:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)]
        case ast.IfExp(body=body, orelse=orelse):
            return _texts(body, names) + _texts(orelse, names)
        case ast.Name(id=name) if name in names:
            return _texts(names[name], {})
        case ast.Subscript(value=ast.Name(id=name)) if isinstance(table := names.get(name), ast.Dict):
            return [text for one in table.values for text in _texts(one, {})]
    return []
