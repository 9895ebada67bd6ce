"""A real rsyslog, which writes each message as it understood it: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import peer, serving

_CONFIG = """
global(workDirectory="{folder}" maxMessageSize="%(size)s" %(tls)s)
module(load="%(module)s" %(driver)s)
input(type="%(module)s" address="127.0.0.1" port="{port}" ruleset="all" %(input)s)
template(name="understood" type="list" option.jsonf="on") {{
  property(outname="text" name="msg" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="severity" name="syslogseverity-text" format="jsonf")
  property(outname="facility" name="syslogfacility-text" format="jsonf")
  property(outname="time" name="timereported" dateformat="rfc3339" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="version" name="protocol-version" format="jsonf")
}}
ruleset(name="all" %(ruleset)s) {{
  action(type="omfile" file="{folder}/understood" template="understood" asyncWriting="off")
}}
"""


def config(
    folder: Path,
    port: int,
    tls: str = "",
    driver: str = "",
    *,
    module: str = "imtcp",
    size: str = "64k",
    of_input: str = "",
    of_ruleset: str = "",
) -> str:
    """Return the configuration of an rsyslog with this module of input."""
    return _template(tls, driver, module, size, of_input, of_ruleset).format(folder=folder, port=port)


def _template(tls: str, driver: str, module: str, size: str, of_input: str, of_ruleset: str) -> str:
    values = {"tls": tls, "driver": driver, "module": module, "size": size, "input": of_input, "ruleset": of_ruleset}
    return _CONFIG % values


@contextmanager
def rsyslog(
    folder: Path, tls: str = "", driver: str = "", *, module: str = "imtcp", size: str = "64k", of_input: str = ""
) -> Iterator[int]:
    """Run an rsyslog with this module of input, and yield its port. It is killed at the end if it does not stop."""
    command = [peer("rsyslogd"), "-n", "-i", str(folder / "rsyslog.pid"), "-f"]
    with serving(folder, _template(tls, driver, module, size, of_input, ""), command) as (url, _):
        yield int(url.rpartition(":")[2])


def understood(folder: Path) -> list[dict[str, str]]:
    """Return the complete lines of the file: rsyslog may be writing the next one."""
    path = folder / "understood"
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []
