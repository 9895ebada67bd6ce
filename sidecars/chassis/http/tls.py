"""TLS from files that somebody else replaces: a mounted Secret, renewed by cert-manager.

Whoever connects or listens asks for the context anew each time. The files are looked at then (a `stat` each), and read
only where one was replaced. New ones that cannot be used, for instance a certificate whose key is not there yet, leave
the context in force as it was; that is told once, and they are tried again when they change again.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sidecars.chassis.config.settings import DEFAULT_NAME, Settings, variable
from sidecars.chassis.runtime import logs

log = logs.get("tls")

_Stamp = tuple[tuple[int, int, int, int] | None, ...]


class UnusableTLSFiles(Exception):
    """Why no context can be made of the files: a sentence that names the variable and the file."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PemFile:
    """A PEM file, and the variable that names it."""

    variable: str
    path: str

    def __str__(self) -> str:
        return f"{self.variable}={self.path}"


def pem_file(holder: object, field: str, cls: type[Settings], name: str = DEFAULT_NAME) -> PemFile | None:
    """Return the file that a setting of the holder names, or None if it is unset.

    `cls` is the sidecar's settings class. `name` is the holder's own, if there can be several of them.
    """
    path = getattr(holder, field)
    return PemFile(variable(cls, field, name), str(path)) if path else None


class ReloadingContext:
    """The context that `make` makes of the files, made anew when one of them is replaced."""

    def __init__(self, make: Callable[[], ssl.SSLContext], files: Iterable[PemFile]) -> None:
        """Raises UnusableTLSFiles: there is no earlier context to fall back on."""
        self._make = make
        self._files = tuple(files)
        self._seen = self._stamp()
        self._context = make()

    def context(self) -> ssl.SSLContext:
        """The one in force. It is the same object as long as the files are."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._context = self._make()
            except UnusableTLSFiles as error:
                log.error("new TLS files cannot be used; the earlier ones stay in force", reason=error.reason)
            else:
                log.info("new TLS files are in force", files=[str(file) for file in self._files])
        return self._context

    def _stamp(self) -> _Stamp:
        return tuple(_stamp(file.path) for file in self._files)


def _stamp(path: str) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - a stat is all that is wanted
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def client_context(
    ca: PemFile | None = None,
    cert: PemFile | None = None,
    key: PemFile | None = None,
    *,
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    alpn: Sequence[str] = (),
) -> ReloadingContext:
    """For a client. `ca`: whom to trust, instead of the system's authorities. `cert` and `key`: who we are.

    Without a `key` it is expected in the file of the certificate. `alpn`: the protocols that we offer to speak.
    """

    def make() -> ssl.SSLContext:
        context = _make_client_context(ca, cert, key)
        context.minimum_version = minimum
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    return ReloadingContext(make, [file for file in (ca, cert, key) if file])


def _make_client_context(ca: PemFile | None, cert: PemFile | None, key: PemFile | None) -> ssl.SSLContext:
    if ca is None:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        load_authorities(context, ca)
    if cert is not None:
        load_certificate(context, cert, key)
    return context


def server_context(cert: PemFile, key: PemFile | None = None, client_ca: PemFile | None = None) -> ReloadingContext:
    """For a server, TLS 1.2 or newer. `client_ca`: who connects must show a certificate that these have signed.

    Without a `key` it is expected in the file of the certificate.
    """
    files = [file for file in (cert, key, client_ca) if file]
    return ReloadingContext(lambda: _make_server_context(cert, key, client_ca), files)


def _make_server_context(cert: PemFile, key: PemFile | None, client_ca: PemFile | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # No resumption: it would let in whose certificate has been replaced or is not trusted any more.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    load_certificate(context, cert, key)
    if client_ca is not None:
        load_authorities(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def context_for_listener(reloading: ReloadingContext) -> ssl.SSLContext:
    """A context for a listening socket, which keeps one for all its life: each handshake is given the one in force.

    OpenSSL asks for it in each handshake, whether or not the client has said whom it wants to talk to.
    """
    first = reloading.context()

    def in_force(handshake: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _first: ssl.SSLContext) -> None:
        handshake.context = reloading.context()

    first.sni_callback = in_force
    return first


def load_authorities(context: ssl.SSLContext, ca: PemFile) -> None:
    """Let the context trust the authorities of the file. Raises UnusableTLSFiles."""
    try:
        context.load_verify_locations(ca.path)
    except ssl.SSLError:
        raise UnusableTLSFiles(f"{ca} has no certificate in PEM form") from None
    except OSError as error:
        raise UnusableTLSFiles(f"{ca} cannot be read: {error.strerror}") from None


def load_certificate(context: ssl.SSLContext, cert: PemFile, key: PemFile | None) -> None:
    """Let the context show the certificate. Raises UnusableTLSFiles."""
    for file in (cert, key) if key else (cert,):
        try:
            with open(file.path, "rb"):  # noqa: PTH123 - OpenSSL does not tell which of the two it could not open
                pass
        except OSError as error:
            raise UnusableTLSFiles(f"{file} cannot be read: {error.strerror}") from None
    try:
        # Without a password OpenSSL would ask for that of an encrypted key on the terminal, and wait.
        context.load_cert_chain(cert.path, key.path if key else None, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UnusableTLSFiles(f"{key or cert} is not the key of the certificate {cert}") from None
        raise UnusableTLSFiles(
            f"{cert} and {key or 'its key'} are no certificate with a plain key in PEM form"
        ) from None
    except OSError as error:
        raise UnusableTLSFiles(f"{cert} cannot be read: {error.strerror}") from None
