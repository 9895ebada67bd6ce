"""tinyproxy on loopback, with a name that it alone knows."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support import free_port, peer, responds, wait_until

TINYPROXY = """
Port {port}
Listen 127.0.0.1
Timeout 60
LogLevel Connect
MaxClients 20
Allow 127.0.0.1
BasicAuth shop s3cretpass
"""


@contextlib.contextmanager
def tinyproxy(folder: Path, name: str) -> Iterator[int]:
    """Run tinyproxy in a mount namespace of its own, whose /etc/hosts knows the name. Its user is shop:s3cretpass."""
    port = free_port()
    (folder / "tinyproxy.conf").write_text(TINYPROXY.format(port=port))
    (folder / "hosts").write_text(f"127.0.0.1 {name}\n")
    own = "-m" if os.geteuid() == 0 else "-rm"
    script = 'mount --bind "$0/hosts" /etc/hosts && exec "$1" -d -c "$0/tinyproxy.conf"'
    command = [peer("unshare"), own, "sh", "-c", script, str(folder), peer("tinyproxy")]
    with (folder / "tinyproxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: responds(port) or process.poll() is not None, "tinyproxy listening")
        assert process.poll() is None, (folder / "tinyproxy.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(30)
