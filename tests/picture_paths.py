"""A check of a sidecar's picture against a real `/status`: each column leads to a member that is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecars.chassis.page.picture import Picture, Table
from sidecars.chassis.page.values import find, rows
from tests.support import get


def page_of(port: int) -> str:
    """Return the page at `/` of an admin port, as a browser gets it."""
    response = get(f"http://127.0.0.1:{port}/", Accept="text/html")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return response.text


def empty_cells(picture: Picture, status: Mapping[str, Any]) -> set[str]:
    """Return what the picture cannot show: tables without a row, and columns without a value in any row."""
    empty = set()
    for part in picture.parts:
        if isinstance(part, Table):
            found = list(rows(status, part.rows))
            if not found:
                empty.add(part.title)
            for column in part.columns if found else ():
                values = [find(row, column.path) for row in found]
                if all(value is None or value in ("", [], {}) for value in values):
                    empty.add(f"{part.title}: {column.title}")
        elif part.path not in status:
            empty.add(part.title)
    return empty
