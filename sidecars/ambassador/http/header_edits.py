"""Who the upstream takes the caller for: fields that are set, added or removed, and a bearer token.

`HEADERS` holds one edit a line: `Name: value` sets a field, whatever the app sent; `+Name: value` adds one beside the
app's; `-Name` removes it. What frames a message or belongs to one connection cannot be edited.

The token's file is looked at once a second, by the tick and not by the requests: a projected service-account token is
replaced long before it expires. A file that cannot be used leaves the earlier token in force, and that is told once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sidecars.ambassador.http.fields import CONTROL_FIELDS, TOKEN
from sidecars.ambassador.http.request_head import CombinedEdits
from sidecars.chassis.config.setting_types import Secret, SettingType
from sidecars.chassis.runtime import logs

log = logs.get("ambassador")

_EDIT = re.compile(rf"([+-]?)({TOKEN.decode()})[\t ]*(?::[\t ]*([\t\x20-\x7e]*))?")
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*").fullmatch  # RFC 6750 section 2.1
_EXPECTED = "expected one edit a line: `Name: value` sets, `+Name: value` adds, `-Name` removes"
_LOOK = 1.0  # seconds between looks at the token

AUTHORIZATION = b"authorization"


@dataclass(frozen=True, slots=True)
class HeaderEdit:
    """One line of `HEADERS`. `sign` is "", "+" or "-"."""

    sign: str
    name: str
    value: str

    def __str__(self) -> str:
        return f"-{self.name}" if self.sign == "-" else f"{self.sign}{self.name}: ***"


def _parse_edits(raw: str) -> tuple[HeaderEdit, ...]:
    return tuple(_parse_edit(line.strip()) for line in raw.splitlines() if line.strip())


def _parse_edit(line: str) -> HeaderEdit:
    found = _EDIT.fullmatch(line)
    if not found or (found[1] == "-") != (found[3] is None):
        raise ValueError(_EXPECTED)
    sign, name, value = found[1], found[2], (found[3] or "").strip()
    if name.lower().encode() in CONTROL_FIELDS | {b"via"}:
        instead = "; Host is decided by HOST" if name.lower() == "host" else ""
        raise ValueError(f"{_EXPECTED}; {name} frames the message or belongs to one connection{instead}")
    return HeaderEdit(sign, name, value)


# A value may be a credential, so none is shown.
edits = SettingType("header edits", _parse_edits, lambda several: " | ".join(map(str, several)))


def combine_edits(headers: tuple[HeaderEdit, ...] | None, *, token: bool) -> CombinedEdits:
    """What is done to each request's fields; with a token the app's own credentials go no further."""
    several = headers or ()
    removed = {edit.name.lower().encode() for edit in several if edit.sign != "+"}
    added = [f"{edit.name}: {edit.value}\r\n".encode() for edit in several if edit.sign != "-"]
    return CombinedEdits(removed | {AUTHORIZATION} if token else removed, added)


class BearerToken:
    """The bearer token in force. `line` is how it is sent, behind the Host's value."""

    def __init__(self, secret: Secret, variable: str) -> None:
        self._secret = secret
        self._variable = variable
        self._looked = 0.0
        self._complained = ""
        self.line = b""

    def refresh(self, now: float) -> None:
        """To be called a few times a second."""
        if self.line and now - self._looked < _LOOK:
            return
        self._looked = now
        problem = ""
        try:
            value = self._secret.reveal().strip()
        except (OSError, UnicodeDecodeError) as error:
            problem = getattr(error, "strerror", None) or "it is not UTF-8 text"
        else:
            if _BEARER(value):
                self.line = b"\r\nAuthorization: Bearer %b" % value.encode()
            else:
                problem = "it holds no bearer token"
        if problem and problem != self._complained:
            log.error(
                "the token cannot be used; the earlier one stays in force", variable=self._variable, reason=problem
            )
        self._complained = problem


def is_bearer_token(secret: Secret) -> bool:
    """Whether it can be sent, as far as it can be read now."""
    try:
        return bool(_BEARER(secret.reveal().strip()))
    except (OSError, UnicodeDecodeError):
        return False
