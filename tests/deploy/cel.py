"""An evaluator of the policies' CEL, from the text that an API server would get.

cel-python evaluates everything but typed objects (`Object.spec.volumes{…}`, `JSONPatch{…}`). Here each becomes a map
with its type's name among the keys, which is checked against the field in which it stands, as an API server does. A
patch whose value is a list of objects is refused, since an API server's handler would panic.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import celpy
import lark
from celpy import celtypes
from celpy.adapter import json_to_cel

TYPE = "the type's name"
ENVIRONMENT = celpy.Environment()


class Refused(Exception):
    """An API server would refuse the expression or its value."""


def _key(name: str) -> lark.Tree[lark.Token]:
    tree: lark.Tree[lark.Token] = ENVIRONMENT.compile(json.dumps(name))
    return tree


class _ObjectsAreMaps(lark.Transformer[lark.Token, lark.Tree[lark.Token]]):
    """Replace each typed object by a map literal that has the name of its type as one more entry."""

    def member_object(self, children: list[Any]) -> lark.Tree[lark.Token]:
        name = ".".join(str(token) for token in children[0].scan_values(lambda _: True))
        entries: list[Any] = [_key(TYPE), _key(name)]
        fields = children[1].children if len(children) > 1 else []
        for field, value in zip(fields[0::2], fields[1::2], strict=True):
            entries += [_key(str(field)), value]
        return lark.Tree("primary", [lark.Tree("map_lit", [lark.Tree("mapinits", entries)])])


def _text(function: Any) -> Any:
    """Wrap a function of Python's texts and numbers for cel-python."""

    def call(*arguments: Any) -> Any:
        return json_to_cel(function(*(_plain(each) for each in arguments)))

    return call


FUNCTIONS: Mapping[str, Any] = {
    "substring": _text(lambda text, start: text[start:]),
    "upperAscii": _text(str.upper),
    "replace": _text(str.replace),
    "join": _text(lambda items, between: between.join(items)),
}


@cache
def _program(text: str) -> celpy.Runner:
    return ENVIRONMENT.program(_ObjectsAreMaps().transform(ENVIRONMENT.compile(text)), functions=dict(FUNCTIONS))


def evaluate(text: str, **names: Any) -> Any:
    """Return the value of an expression. Raises celpy.CELEvalError, as for a key that is missing."""
    return _plain(_program(text).evaluate({name: json_to_cel(value) for name, value in names.items()}))


def _plain(value: Any) -> Any:
    if isinstance(value, celtypes.BoolType):
        return bool(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, int):
        return int(value)
    return None if value is None else str(value)


def variables(spec: Mapping[str, Any], **names: Any) -> dict[str, Any]:
    """Return the value of each variable of a policy; one may use those before it."""
    found: dict[str, Any] = {}
    for item in spec.get("variables", []):
        found[item["name"]] = evaluate(item["expression"], variables=found, **names)
    return found


def matches(spec: Mapping[str, Any], **names: Any) -> bool:
    """Return True if every match condition of a policy holds."""
    return all(evaluate(item["expression"], **names) is True for item in spec.get("matchConditions", []))


def mutated(spec: Mapping[str, Any], pod: dict[str, Any]) -> dict[str, Any]:
    """Return the Pod as a MutatingAdmissionPolicy leaves it. Raises Refused."""
    if not matches(spec, object=pod):
        return pod
    for mutation in spec["mutations"]:
        assert mutation["patchType"] == "JSONPatch"
        known = variables(spec, object=pod)
        patches = evaluate(mutation["jsonPatch"]["expression"], object=pod, variables=known)
        pod = patched(pod, patches)
    return pod


def patched(pod: dict[str, Any], patches: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a copy of the Pod with the patches of RFC 6902, of which only `add` is used."""
    pod = copy.deepcopy(pod)
    for patch in patches:
        assert patch.pop(TYPE) == "JSONPatch"
        assert patch.keys() == {"op", "path", "value"}
        assert patch["op"] == "add"
        value = patch["value"]
        if isinstance(value, list) and value:
            raise Refused(f"{patch['path']}: a list of objects is the value of a patch")
        *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in patch["path"].split("/")[1:])
        place: Any = pod
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        value = _untyped(value, value.get(TYPE) if isinstance(value, dict) else None)
        if isinstance(place, list):
            place.insert(len(place) if last == "-" else int(last), value)
        else:
            place[last] = value
    return pod


def _untyped(value: Any, expected: str | None) -> Any:
    """Return the value without the names of types. Raises Refused if one is not that of the field it stands in."""
    if isinstance(value, list):
        return [_untyped(each, expected) for each in value]
    if not isinstance(value, dict):
        return value
    name = value.get(TYPE)
    if name is not None and name != expected:
        raise Refused(f"{name} stands where {expected} is")
    return {key: _untyped(each, f"{name}.{key}" if name else None) for key, each in value.items() if key != TYPE}
