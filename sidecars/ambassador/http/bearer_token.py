"""The bearer token of the setting `TOKEN`, sent to the upstream instead of the app's `Authorization` (RFC 6750).

The data path's tick reads the token's file once a second; no request reads it. That is often enough: a projected
service-account token is replaced long before it expires. If the file cannot be used, the earlier token stays in force,
and the failure is logged once.
"""

from __future__ import annotations

import re

from sidecars.chassis.config.setting_types import Secret
from sidecars.chassis.runtime import logs

log = logs.get("ambassador")

_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*").fullmatch  # RFC 6750 section 2.1
_REFRESH_EVERY = 1.0  # seconds


class BearerToken:
    """The token in force. Its upstream owns it. `line` is its field line, written behind the value of Host."""

    def __init__(self, secret: Secret, variable: str) -> None:
        self._secret = secret
        self._variable = variable
        self._refreshed_at = 0.0
        self._logged_problem = ""
        self.line = b""

    def refresh(self, now: float) -> None:
        """Read the token again if a second has passed. Call it a few times a second."""
        if self.line and now - self._refreshed_at < _REFRESH_EVERY:
            return
        self._refreshed_at = now
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
        if problem and problem != self._logged_problem:
            log.error(
                "the token cannot be used; the earlier one stays in force",
                code="token-unusable",
                variable=self._variable,
                reason=problem,
            )
        self._logged_problem = problem


def is_bearer_token(secret: Secret) -> bool:
    """Return True if the secret can be read now and holds a bearer token."""
    try:
        return bool(_BEARER(secret.reveal().strip()))
    except (OSError, UnicodeDecodeError):
        return False
