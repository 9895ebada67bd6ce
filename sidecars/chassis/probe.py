"""A health client for HEALTHCHECK and exec probes: `python -m sidecars.chassis.probe [/livez | /readyz | URL]`.

It loads only the standard library, and starts in milliseconds. Without a URL it asks the sidecar of its image (an image
has exactly one) at the admin address that the same environment gives. It prints the body of the response. The exit code
is 0 for a 200, else 1. If the sidecar has no admin server, or it is off, there is nothing to ask: exit code 0.
"""

from __future__ import annotations

import http.client
import importlib
import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from sidecars.chassis import streams
from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.config.settings import Settings, SettingsError, load

TIMEOUT = 2.0  # seconds
_SHOWN = 2048  # bytes of the body that are printed


def get(address: Address, path: str) -> tuple[int, str]:
    """Return the status and the beginning of the body. Raises OSError or http.client.HTTPException."""
    host = address.host if address.host not in ("", "0.0.0.0", "::") else "localhost"
    connection = http.client.HTTPConnection(host, address.port, timeout=TIMEOUT)
    if address.path:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(TIMEOUT)
        connection.sock.connect(address.path)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(_SHOWN).decode(errors="replace").strip()
    finally:
        connection.close()


def own_admin_address() -> Address:
    """Return the admin address of the one sidecar beside the chassis; `off` if it has none."""
    folder = Path(__file__).resolve().parent.parent
    names = [entry.name for entry in sorted(folder.iterdir()) if (entry / "settings.py").exists()]
    if len(names) != 1:
        raise LookupError(f"{len(names)} sidecars lie here ({', '.join(names)}): give a URL")
    cls: type[Settings] = importlib.import_module(f"sidecars.{names[0]}.settings").Settings
    return load(cls, os.environ).admin_address()


def split_url(url: str) -> tuple[Address, str]:
    """Return the address and the path of the URL. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("expected a path or http://host[:port]/path")
    return Address(parts.hostname, parts.port or 80), (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def main(argv: list[str]) -> int:
    target = argv[0] if argv else "/livez"
    try:
        if target.startswith("/"):
            address, path = own_admin_address(), target
        else:
            address, path = split_url(target)
        if not address:
            print("there is no admin endpoint to ask")
            return 0
        status, body = get(address, path)
    except (OSError, http.client.HTTPException, SettingsError, LookupError, ValueError) as error:
        print(f"{target}: {error}", file=sys.stderr)
        return 1
    print(body)
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(streams.run_command(lambda: main(sys.argv[1:])))
