"""The data block of a sidecar's page: its picture, and the status of that moment. Pure. The page may be hostile."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sidecars.chassis.page.picture import Column, Part, Picture, Table, Words

_BLOCK = re.compile(r'<script type="?application/json"? id="?data"?>(.*?)</script>', re.DOTALL)
_MOST = 30  # parts of a picture, and columns of a table


@dataclass(frozen=True)
class PageData:
    """The content of a page. `has_siblings` is True if the sidecar answers `/siblings`."""

    picture: Picture
    status: Mapping[str, Any]
    has_siblings: bool


def read(html: str) -> PageData:
    """Return the data of a page. Raises ValueError if it is not the page of a sidecar."""
    block = _BLOCK.search(html)
    if block is None:
        raise ValueError("it is not the page of a sidecar")
    data = document(block[1])
    picture = data.get("picture")
    if not isinstance(picture, list):
        raise ValueError("its page has no picture")  # noqa: TRY004 - the caller catches one error
    try:
        parts = [_part(part) for part in picture[:_MOST]]
        return PageData(Picture(*parts), status(data.get("status")), bool(data.get("siblings")))
    except (AttributeError, LookupError, TypeError):  # a value of another type than the description has
        raise ValueError("the picture of its page is malformed") from None


def document(text: str) -> Mapping[str, Any]:
    """Return an object of JSON. Raises ValueError."""
    try:
        value = json.loads(text, parse_constant=lambda _name: None)  # NaN is no number that can be shown
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("its JSON is no object")  # noqa: TRY004 - the caller catches one error
    return value


def status(value: Any) -> Mapping[str, Any]:
    """Return the status of a sidecar, in which the common members have their types. Raises ValueError."""
    if not isinstance(value, dict) or not all(isinstance(value.get(each), str) for each in ("name", "state")):
        raise ValueError("it is not the status of a sidecar")
    return value


def _part(value: Mapping[str, Any]) -> Part:
    if "rows" not in value:
        return Words(**_texts(value, "title", "path"))
    return Table(
        columns=tuple(_column(one) for one in value["columns"][:_MOST]),
        **{"empty": "", **_texts(value, "title", "rows", "empty", "key")},  # "" is left out of the page, too
    )


def _column(short: str) -> Column:
    """Return the column of a text such as `Read|read|rate|of|bytes`, of which the end may be missing."""
    title, path, kind, of, unit = [*short.split("|"), "", "", "", ""][:5]
    return Column(title, path, kind or "text", of, unit)  # type: ignore[arg-type] # the column checks the two words


def _texts(value: Mapping[str, Any], *names: str) -> Any:
    """Return the members of these names, which are texts. Raises ValueError. Members of a newer version are ignored."""
    found = {name: value[name] for name in names if name in value}
    if not all(isinstance(each, str) for each in found.values()):
        raise ValueError("the picture of its page is malformed")
    return found
