"""House rules of the code that no linter knows: HTTP statuses are numbers."""

from __future__ import annotations

import ast
from http import HTTPStatus

from tests.repo.test_texts import tracked
from tests.support import ROOT

STATUS_NAMES = frozenset(HTTPStatus.__members__)


def test_an_http_status_is_written_as_its_number() -> None:
    """Logs, docs and RFCs call it by its number. `HTTPStatus` is for phrases; its import would cost a job's start."""
    found = []
    for path in tracked("sidecars/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in STATUS_NAMES:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.attr}")
            elif isinstance(node, ast.Name) and node.id.strip("_") in STATUS_NAMES - {"OK", "FOUND", "GONE"}:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.id}")
    assert found == []
