"""The setting `HEADERS`: fields that are set, added or removed in each request. No I/O.

It holds one edit a line: `Name: value` sets a field, instead of the app's; `+Name: value` adds one beside the app's;
`-Name` removes it. A field that frames a message or belongs to one connection cannot be edited.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from sidecars.ambassador.http.fields import CONTROL_FIELDS, TOKEN
from sidecars.ambassador.http.request_head import CombinedEdits
from sidecars.chassis.config.setting_types import HIDDEN, Secret, SettingType, fixed_secret

_EDIT = re.compile(rf"([+-]?)({TOKEN.decode()})[\t ]*(?::[\t ]*([\t\x20-\x7e]*))?")
_EXPECTED = "expected one edit a line: `Name: value` sets, `+Name: value` adds, `-Name` removes"
_CREDENTIAL = re.compile(r"(?i)authorization|cookie|token|secret|password|api-?key|access-?key")


@dataclass(frozen=True, slots=True)
class HeaderEdit:
    """One line of `HEADERS`. `sign` is "" (set), "+" (add) or "-" (remove)."""

    sign: str
    name: str
    value: Secret

    @property
    def is_credential(self) -> bool:
        """True if the field is sent, and its name says that its value is a secret."""
        return self.sign != "-" and bool(_CREDENTIAL.search(self.name))

    def __str__(self) -> str:
        return f"-{self.name}" if self.sign == "-" else f"{self.sign}{self.name}: {HIDDEN}"


def _parse_edits(raw: str) -> tuple[HeaderEdit, ...]:
    """Return the edits. Raises ValueError, whose message names the line and repeats no text of it but known names."""
    found = []
    for number, line in enumerate(raw.splitlines(), 1):
        if line.strip():
            try:
                found.append(_parse_edit(line.strip()))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return tuple(found)


def _parse_edit(line: str) -> HeaderEdit:
    found = _EDIT.fullmatch(line)
    if not found or (found[1] == "-") != (found[3] is None):
        raise ValueError(_EXPECTED)
    sign, name, value = found[1], found[2], (found[3] or "").strip()
    if name.lower().encode() in CONTROL_FIELDS | {b"via"}:
        instead = "; Host is decided by HOST" if name.lower() == "host" else ""
        raise ValueError(f"{_EXPECTED}; {name} frames the message or belongs to one connection{instead}")
    return HeaderEdit(sign, name, fixed_secret(value))


edits = SettingType("header edits", _parse_edits, lambda several: " | ".join(map(str, several)), sensitive=True)


def combine_edits(
    edits: tuple[HeaderEdit, ...] | None, replaced: Collection[bytes] = (), taken: frozenset[bytes] = frozenset()
) -> CombinedEdits:
    """Combine the edits into names to remove and lines to add.

    `replaced`: the names (in lower case) of fields that credentials of ours take the place of. They are removed, too.
    So are the fields `taken`, which are kept aside: each attempt has its own.
    """
    several = edits or ()
    removed = {edit.name.lower().encode() for edit in several if edit.sign != "+"}
    added = [f"{edit.name}: {edit.value.reveal()}\r\n".encode() for edit in several if edit.sign != "-"]
    return CombinedEdits(removed.union(replaced, taken), added, taken)
