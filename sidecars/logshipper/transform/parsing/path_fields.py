"""Fields of a file from its path, by a template such as `/logs/{app}/{part}.log*`.

| in a template | stands for |
|---|---|
| `{name}` | one character or more of a name, and the field's value |
| `*` | any characters of a name, also none |
| other text | itself |

**A path has one reading or none.** A value contains no `/`, and none of the texts that stand between a field or `*` and
the next one in the same name. So `{namespace}_{pod}_{pod_uid}` reads nothing in `a_b_c_d`, and who may choose one part
of a name cannot choose another one.

`kubernetes` is the template of the kubelet's directories. It makes them from names in the API, in which no `_` occurs
(RFC 1123 labels and subdomains), so that an app cannot forge them.
https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kuberuntime/helpers.go (BuildPodLogsDirectory)

Pure.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from sidecars.logshipper.volumes import path_matching

KUBERNETES = "kubernetes"
_KUBERNETES = "/var/log/pods/{namespace}_{pod}_{pod_uid}/{container}/{restart}.log*"

_OF_A_POD = frozenset(("namespace", "pod", "pod_uid", "pod_ip", "container"))
_TOKEN = re.compile(r"\{([^{}]*)\}|(\*+)|([^{}*]+)|[{}]")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,62}")
REMEMBERED = 20_000
"""Paths whose fields are kept; then all are parsed anew."""


_Tokens = tuple[str | None, ...]
"""Texts and fields in turns, beginning and ending with a text. A field without a name (`*`) is None."""


class PathFields:
    """The template of one input. Owned by its pipeline. Raises ValueError with a sentence for a bad template."""

    def __init__(self, template: str) -> None:
        self._text = _KUBERNETES if template == KUBERNETES else template
        if not self._text.startswith("/") or self._text.endswith("/"):
            raise ValueError(f"expected {KUBERNETES} or an absolute path with {{fields}}, such as /logs/{{app}}/*.log")
        self._names = [_Name(name) for name in self._text.split("/")]
        fields = [field for name in self._names for field in name.fields]
        if not fields:
            raise ValueError("expected a template with a {field}, such as /logs/{app}/*.log")
        if len(set(fields)) < len(fields):
            raise ValueError("expected each {field} once")
        self.names = tuple(fields)
        self._known: dict[str, dict[str, str]] = {}

    def of(self, path: str) -> dict[str, str]:
        """Return the fields of a path; none if the template does not fit. A path is parsed once."""
        found = self._known.get(path)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[path] = self._parse(path)
        return found

    def _parse(self, path: str) -> dict[str, str]:
        names = path.split("/")
        if len(names) != len(self._names):
            return {}
        values: dict[str, str] = {}
        for template, name in zip(self._names, names, strict=True):
            found = template.parse(name)
            if found is None:
                return {}
            values |= found
        return values

    def of_this_pod(self, pod: Mapping[str, str]) -> dict[str, str]:
        """Return those of this Pod's own fields that are true of the files: only its node, if the path names a Pod."""
        if _OF_A_POD.isdisjoint(self.names):
            return dict(pod)
        return {name: value for name, value in pod.items() if name not in _OF_A_POD}

    def fits(self, glob: str) -> bool:
        """Return False if no path that the glob matches has fields."""
        parts = glob.split("/")
        if "**" in parts:
            return True
        return len(parts) == len(self._names) and all(
            template.fits(part) for template, part in zip(self._names, parts, strict=True)
        )


class _Name:
    """The template of one name of a path."""

    def __init__(self, template: str) -> None:
        self._tokens = _tokens(template)
        self.fields = [token for token in self._tokens[1::2] if token is not None]
        between = self._tokens[2::2]  # what follows each field or `*`
        self._forbidden = [text for text in between[:-1] if text]

    def parse(self, name: str) -> dict[str, str] | None:
        """Return the values of the fields; None if the template does not fit."""
        first = self._tokens[0] or ""
        if len(self._tokens) == 1:
            return {} if name == first else None
        if not name.startswith(first):
            return None
        values, rest = {}, name[len(first) :]
        for field, text, is_last in self._pairs():
            if is_last:
                end = len(rest) - len(text)
                value = rest[:end] if rest.endswith(text) and end >= 0 else None
            else:
                value = rest[: rest.find(text)] if text in rest else None
            if value is None or (field is not None and not self._is_value(value)):
                return None
            if field is not None:
                values[field] = _as_text(value)
            rest = rest[len(value) + len(text) :]
        return values

    def _pairs(self) -> Iterator[tuple[str | None, str, bool]]:
        """Yield each field or `*`, the text that follows it, and True for the last one."""
        tokens = self._tokens
        for at in range(1, len(tokens), 2):
            yield tokens[at], tokens[at + 1] or "", at == len(tokens) - 2

    def _is_value(self, value: str) -> bool:
        return bool(value) and not any(text in value for text in self._forbidden)

    def fits(self, part: str) -> bool:
        """Return False if no name that this part of a glob matches can have the fields."""
        if any(magic in part for magic in "*?["):
            return len(self._tokens) > 1 or path_matching.matches(part, self._tokens[0] or "")
        return self.parse(part) is not None


def _tokens(template: str) -> _Tokens:
    """Return the tokens of a name's template. Raises ValueError with a sentence."""
    tokens: list[str | None] = [""]
    for found in _TOKEN.finditer(template):
        field, star, text = found.groups()
        if text is not None:
            tokens[-1] = text
            continue
        if field is None and star is None:
            raise ValueError("expected a template with the names of fields in {braces}")
        if star is not None and star != "*":
            raise ValueError("expected a template without **: it would have several readings")
        if field is not None:
            _check(field)
        if len(tokens) > 1 and not tokens[-1]:
            raise ValueError("expected a text between two fields, as in {namespace}_{pod}")
        tokens += [field, ""]
    return tuple(tokens)


def _check(field: str) -> None:
    if not _NAME.fullmatch(field):
        raise ValueError("expected fields with names of letters, digits and _, such as {namespace}")
    if field in ("id", "file", "partial", "time", "read_at", "level", "severity", "message"):
        raise ValueError(f"{field} cannot be a field of a path: a record has that already")


def _as_text(value: str) -> str:
    """Return a value that every sink can encode: a name may have any bytes."""
    return os.fsencode(value).decode("utf-8", "replace")
