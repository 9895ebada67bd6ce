"""TLS contexts from files that are replaced while the process runs: a mounted Secret that cert-manager renews.

A client asks for the context before each connection, a server in each handshake. Each time the files are looked at (one
stat(2) each), and read only if one of them was replaced. If the new files cannot be used, for instance a certificate
without its key, the earlier context stays in force. That is logged once. The files are tried again when they change.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence

from sidecars.chassis.config.settings import DEFAULT_NAME, Settings, variable
from sidecars.chassis.runtime import file_io, logs
from sidecars.chassis.runtime.light_dataclasses import dataclass

log = logs.get("tls")

_LARGEST = 4 << 20  # bytes of a PEM file: many times the authorities of a system

_Stamp = tuple[tuple[int, int, int, int] | None, ...]


class UnusableTLSFiles(Exception):
    """The files give no context. `reason` is a sentence that names the variable and the file."""

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
    """The context that `make` returns for the files, made again when one of them is replaced."""

    def __init__(self, make: Callable[[], ssl.SSLContext], files: Iterable[PemFile]) -> None:
        """Make the first context. Raises UnusableTLSFiles."""
        self._make = make
        self._files = tuple(files)
        self._seen = self._stamp()
        self._context = make()

    def context(self) -> ssl.SSLContext:
        """Return the context in force. It is the same object until a file is replaced."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._context = self._make()
            except UnusableTLSFiles as error:
                log.error(
                    "new TLS files cannot be used; the earlier ones stay in force",
                    code="tls-files-not-reloaded",
                    reason=error.reason,
                )
            else:
                log.info("new TLS files are in force", files=[str(file) for file in self._files])
        return self._context

    def _stamp(self) -> _Stamp:
        return tuple(_stamp(file.path) for file in self._files)


def _stamp(path: str) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - one call, and no Path for each handshake
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
    """Return the context of a client. Raises UnusableTLSFiles.

    `ca` has the authorities to trust; without it, the system's. `cert` and `key` are the client's own; without a `key`,
    the file of the certificate has it. `alpn` are the protocols to offer.
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
    # RFC 9525 section 2: a name in the subject's CN identifies no server. OpenSSL takes it if there is no other name.
    context.hostname_checks_common_name = False
    if cert is not None:
        load_certificate(context, cert, key)
    return context


def server_context(cert: PemFile, key: PemFile | None = None, client_ca: PemFile | None = None) -> ReloadingContext:
    """Return the context of a server, for TLS 1.2 or newer. Raises UnusableTLSFiles.

    Without a `key`, the file of the certificate has it. With `client_ca`, a client must show a certificate that one of
    these authorities has signed.
    """
    files = [file for file in (cert, key, client_ca) if file]
    return ReloadingContext(lambda: _make_server_context(cert, key, client_ca), files)


def _make_server_context(cert: PemFile, key: PemFile | None, client_ca: PemFile | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # No resumption: a resumed session would let in a client whose certificate is no longer trusted.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    load_certificate(context, cert, key)
    if client_ca is not None:
        load_authorities(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def context_for_listener(reloading: ReloadingContext) -> ssl.SSLContext:
    """Return the context for a listening socket. It gives each handshake the context that is in force then.

    A listening socket keeps one context as long as it lives. OpenSSL calls `sni_callback` in each handshake, also if
    the client names no server.
    """
    first = reloading.context()

    def in_force(handshake: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _first: ssl.SSLContext) -> None:
        handshake.context = reloading.context()

    first.sni_callback = in_force
    return first


def load_authorities(context: ssl.SSLContext, ca: PemFile) -> None:
    """Make the context trust the authorities of the file. Raises UnusableTLSFiles."""
    with _opened(ca) as path:
        try:
            context.load_verify_locations(path)
        except ssl.SSLError:
            raise UnusableTLSFiles(f"{ca} has no certificate in PEM form") from None
        except OSError as error:
            raise UnusableTLSFiles(f"{ca} cannot be read: {error.strerror}") from None


def load_certificate(context: ssl.SSLContext, cert: PemFile, key: PemFile | None) -> None:
    """Make the context show the certificate. Raises UnusableTLSFiles."""
    with _opened(cert) as cert_path, _opened(key or cert) as key_path:
        try:
            # Without a password OpenSSL would ask on the terminal for that of an encrypted key, and wait.
            context.load_cert_chain(cert_path, key_path, password="")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise UnusableTLSFiles(f"{key or cert} is not the key of the certificate {cert}") from None
            raise UnusableTLSFiles(
                f"{cert} and {key or 'its key'} are no certificate with a plain key in PEM form"
            ) from None
        except OSError as error:
            raise UnusableTLSFiles(f"{cert} cannot be read: {error.strerror}") from None


@contextlib.contextmanager
def _opened(file: PemFile) -> Iterator[str]:
    """Open the file, and yield a path of the open file for OpenSSL, which can only read by path.

    OpenSSL would wait for the writer of a pipe, and its errors do not name the file. Raises UnusableTLSFiles.
    """
    try:
        descriptor = file_io.open_small(file.path, _LARGEST)
    except OSError as error:
        raise UnusableTLSFiles(f"{file} cannot be read: {error.strerror}") from None
    try:
        yield f"/dev/fd/{descriptor}"
    finally:
        os.close(descriptor)
