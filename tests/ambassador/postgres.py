"""A real PostgreSQL server on loopback that accepts nothing but TLS, and what a raw client and server of it say."""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import trustme

from tests.ambassador.support import Peer
from tests.support import free_port, wait_until

SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSS_REQUEST = struct.pack("!II", 8, 80877104)
NAME = "db.test"


def startup(user: bytes = b"shop") -> bytes:
    body = struct.pack("!I", 196608) + b"user\0" + user + b"\0\0"
    return struct.pack("!I", len(body) + 4) + body


def cancel_request(process: int, secret: int) -> bytes:
    return struct.pack("!IIII", 16, 80877102, process, secret)


def session(process: int, secret: int) -> bytes:
    """Return what a server sends at the beginning of a session."""
    messages = [(b"R", struct.pack("!I", 0)), (b"S", b"server_version\x0015\0")]
    messages += [(b"K", struct.pack("!II", process, secret)), (b"Z", b"I")]
    return b"".join(kind + struct.pack("!I", len(body) + 4) + body for kind, body in messages)


def error_of(peer: Peer) -> bytes:
    """Return the text of the ErrorResponse that the peer sends before it closes."""
    data = peer.rest()
    assert data[:1] == b"E", data
    return next(field[1:] for field in data[5:].split(b"\0") if field[:1] == b"M")


class Server:
    """A cluster with one user, `shop`, whose password is `s3cretpass`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.ca = str(folder / "ca.pem")
        self._binaries = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        made = authority.issue_cert(NAME)
        made.private_key_pem.write_to_path(str(folder / "server.key"))
        made.cert_chain_pems[0].write_to_path(str(folder / "server.crt"))
        (folder / "password").write_text("s3cretpass\n")
        (folder / "server.key").chmod(0o600)
        if os.geteuid() == 0:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, "postgres", "postgres")
        Path(self.ca).chmod(0o644)
        data = folder / "data"
        options = ("--no-sync", "-A", "scram-sha-256", "-U", "shop", f"--pwfile={folder}/password", "-E", "UTF8")
        subprocess.run([*self._command("initdb"), "-D", data, *options], check=True, capture_output=True)
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.0/8 scram-sha-256\n")
        settings = {
            "listen_addresses": "127.0.0.1,127.0.0.2",
            "unix_socket_directories": "",
            "ssl": "on",
            "ssl_cert_file": folder / "server.crt",
            "ssl_key_file": folder / "server.key",
            "fsync": "off",
            "autovacuum": "off",
            "max_worker_processes": "0",
        }
        given = [f"--{name}={value}" for name, value in settings.items()]
        with (folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [*self._command("postgres"), "-D", data, "-p", str(self.port), *given], stderr=log, stdout=log
            )
        wait_until(lambda: "ready to accept connections" in self.log(), "PostgreSQL")

    def _command(self, program: str) -> list[str]:
        """Return the command as a user that PostgreSQL accepts: it refuses root."""
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        return [*as_user, str(self._binaries / program)]

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


@contextlib.contextmanager
def postgres() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            yield server
        finally:
            server.stop()


def psql(port: int, statement: str, **parameters: str) -> list[str]:
    """Return the command of a client of the real library, which connects to a port of localhost."""
    given = {"host": "127.0.0.1", "port": str(port), "dbname": "postgres", "user": "shop", "password": "s3cretpass"}
    told = " ".join(f"{name}={value}" for name, value in {**given, **parameters}.items())
    return ["psql", "-X", "-A", "-t", "-c", statement, told]
