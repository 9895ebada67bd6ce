"""The common parts of all services that give credentials: an exception, and what is checked of their answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sidecars.chassis.http.authorization import can_be_a_value
from sidecars.chassis.runtime import file_io, scrubber

LONGEST_ANSWER = 64 * 1024
"""Bytes of an answer that has credentials, at most."""


class NoCredentials(Exception):
    """There are no credentials now. `reason` is a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a peer has sent; None if it is none. The length of the body is bounded already."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read_token(owner: object, path: Path, variable: str) -> str:
    """Return the token in the file of a setting, which the kubelet replaces. Raises NoCredentials.

    It is looked for in all outputs, in the place of the owner's earlier one.
    """
    try:
        token = file_io.read_text(str(path)).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise NoCredentials(f"the file of {variable} cannot be read: {why} ({path})") from None
    if not token or not can_be_a_value(token):
        raise NoCredentials(f"the file of {variable} has no token")
    scrubber.hide(owner, [token])
    return token
