"""The address of the API server, and the credentials of this Pod there: the files of its ServiceAccount.

    token       read for each request: the kubelet replaces it before it expires
    ca.crt      the authority of the API server; read again as soon as it is replaced
    namespace   the namespace of this Pod, for a Service that is named without one

The token is sent to the API server over TLS, or to loopback, and never elsewhere. It is searched for in all outputs.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import variable
from sidecars.chassis.config.urls import DEFAULT_PORTS, is_loopback
from sidecars.chassis.http import tls
from sidecars.chassis.runtime import file_io, scrubber

_LARGEST_TOKEN: Final = 64 * 1024  # bytes
_LARGEST_NAME: Final = 256  # bytes
_TOKEN: Final = re.compile(rb"[A-Za-z0-9\-._~+/]+=*").fullmatch  # RFC 6750 section 2.1
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?").fullmatch  # a label of RFC 1123
_HIGHEST_PORT: Final = 65535


class ApiFailed(Exception):
    """The API server gave no usable answer; the message is a clause with the reason and the cure.

    `pause` are the seconds that it asks to wait. `is_stale` is True if its resource version is of no use any more.
    """

    def __init__(self, reason: str, *, pause: float = 0.0, is_stale: bool = False) -> None:
        super().__init__(reason)
        self.pause = pause
        self.is_stale = is_stale


class ApiPlace:
    """The address of the API server and the Pod's credentials. An API client owns it."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """`environ` has KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT in each Pod."""
        self._variable = variable(Settings, "kubernetes_account")
        self._folder = settings.kubernetes_account
        self._context: tls.ReloadingContext | None = None
        self._token = b""  # the last one
        url = settings.kubernetes_api
        if url is not None:
            self.scheme, self.host = url.scheme, url.hostname
            self.port = url.port or DEFAULT_PORTS[url.scheme]
        else:
            self.scheme, self.host = "https", environ.get("KUBERNETES_SERVICE_HOST", "")
            given = environ.get("KUBERNETES_SERVICE_PORT", "443")
            self.port = int(given) if given.isascii() and given.isdigit() and len(given) <= 5 else 0
            self.port = self.port if self.port <= _HIGHEST_PORT else 0
        shown = f"[{self.host}]" if ":" in self.host else self.host
        self.authority = f"{shown}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True if the API server is on this host: behind a proxy such as kubectl's, or in a test."""
        return is_loopback(self.host)

    def check(self) -> None:
        """Raise ApiFailed if it is not known where the API server is."""
        if not self.host or not self.port:
            api = variable(Settings, "kubernetes_api")
            raise ApiFailed(f"KUBERNETES_SERVICE_HOST and _PORT name no API server, as they do in a Pod: set {api}")

    def context(self) -> ssl.SSLContext | None:
        """Return the TLS context in force; None for an API server without TLS. Raises ApiFailed."""
        if self.scheme != "https":
            return None
        if self._context is None:
            try:
                self._context = tls.client_context(tls.PemFile(self._variable, str(self._folder / "ca.crt")))
            except tls.UnusableTLSFiles as error:
                raise ApiFailed(error.reason) from None
        return self._context.context()

    def token(self) -> bytes:
        """Return the token as it is now. Raises ApiFailed."""
        token = self._read("token", _LARGEST_TOKEN).strip()
        if not _TOKEN(token):
            raise ApiFailed(f"{self._variable}={self._folder}: its file token holds no bearer token")
        if token != self._token:
            self._token = token
            scrubber.hide(self, [token.decode("ascii")])
        return token

    def namespace(self) -> str:
        """Return the namespace of this Pod. Raises ApiFailed."""
        name = self._read("namespace", _LARGEST_NAME).decode("ascii", "replace").strip()
        if not _NAME(name):
            raise ApiFailed(f"{self._variable}={self._folder}: its file namespace holds no name of a namespace")
        return name

    def _read(self, name: str, largest: int) -> bytes:
        path = Path(self._folder) / name
        try:
            return file_io.read_small(str(path), largest)
        except OSError as error:
            raise ApiFailed(
                f"{path} cannot be read: {error.strerror}: the Pod needs the token of a ServiceAccount "
                "(automountServiceAccountToken)"
            ) from None
