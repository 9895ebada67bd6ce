"""The sink relp:// with a real rsyslog: an acknowledgement for each message, through restarts and kill -9."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import trustme

from sidecars.logshipper.model.batch import Batch
from tests.conftest import Start
from tests.logshipper.opened_sinks import opened, until
from tests.logshipper.rsyslog import rsyslog, understood
from tests.logshipper.support import a_batch, a_chunk, append, environ, metric
from tests.support import free_port, peer, wait_until


def batch(text: str) -> Batch:
    return a_batch(a_chunk(text.encode()), pod="shop-1", app="shop")


def id_of(record: dict[str, str]) -> str:
    found = re.search(r' id="([^"]*)"', record["data"])
    assert found, record
    return found[1]


async def test_rsyslog_acknowledges_each_message_and_understands_every_part(tmp_path: Path) -> None:
    with rsyslog(tmp_path, module="imrelp", size="8k") as port:
        async with opened(f"relp://127.0.0.1:{port}") as sink:
            lines = [f'line {number} "quoted" \u00fc' for number in range(2000)]
            outcome = await sink.deliver(batch("".join(f"{line}\n" for line in lines)))
            assert not outcome.retry
            await until(lambda: len(understood(tmp_path)) == 2000)
    records = understood(tmp_path)
    assert [record["text"] for record in records] == lines
    assert {(record["host"], record["app"], record["facility"]) for record in records} == {("shop-1", "shop", "user")}
    assert records[0]["data"] == '[logshipper@32473 id="f00d-0" file="/logs/a%d.log"]'


async def test_no_byte_of_a_long_line_is_cut_off_by_rsyslogs_limit(tmp_path: Path) -> None:
    """A message beyond rsyslog's limit is acknowledged, and 8 KiB of it are kept: the parts are shorter."""
    line = "".join(f"{number:06d}\u00fc" for number in range(25_000))
    with rsyslog(tmp_path, module="imrelp", size="8k") as port:
        async with opened(f"relp://127.0.0.1:{port}") as sink:
            assert not (await sink.deliver(batch(f"{line}\nshort\n"))).retry
            await until(lambda: any(record["text"] == "short" for record in understood(tmp_path)))
    records = understood(tmp_path)
    assert "".join(record["text"] for record in records) == f"{line}short"
    assert {id_of(record) for record in records[:-1]} == {"f00d-0"}
    count = len(records) - 1
    assert [re.findall(r'part="(\S+)"', record["data"]) for record in records[:-1]] == [
        [f"{number}/{count}"] for number in range(1, count + 1)
    ]


async def test_rsyslog_takes_messages_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    for name in ("localhost", "client@example.com"):
        certificate = authority.issue_cert(name)
        certificate.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.crt")
        certificate.private_key_pem.write_to_path(tmp_path / f"{name}.key")
    tls = f'tls="on" tls.authMode="certvalid" tls.caCert="{tmp_path}/ca.crt" tls.myCert="{tmp_path}/localhost.crt"'
    tls += f' tls.myPrivKey="{tmp_path}/localhost.key"'
    ours = str(tmp_path / "client@example.com")
    with rsyslog(tmp_path, module="imrelp", of_input=tls) as port:
        url, ca = f"relp+tls://localhost:{port}", str(tmp_path / "ca.crt")
        async with opened(url, sink_ca=ca, sink_cert=f"{ours}.crt", sink_key=f"{ours}.key") as sink:
            assert not (await sink.deliver(batch("secret\n"))).retry
            await until(lambda: len(understood(tmp_path)) == 1)
    assert [record["text"] for record in understood(tmp_path)] == ["secret"]


def test_no_line_is_missing_through_rsyslogs_restart_and_kill_nine(tmp_path: Path, start: Start) -> None:
    """Run the program. Each of the two is killed once; a repeat has the id of what it repeats."""
    admin = free_port()
    log = tmp_path / "logs" / "app.log"
    with rsyslog(tmp_path, module="imrelp") as port:
        settings = environ(tmp_path, admin, LOGSHIPPER_SINK=f"relp://127.0.0.1:{port}")
        append(log, "".join(f"before {number}\n" for number in range(500)))
        shipper = start("logshipper", **settings)
        wait_until(lambda: len(understood(tmp_path)) >= 500, "the first lines")
    append(log, "".join(f"while it is away {number}\n" for number in range(500)))
    shipper.wait_logged("delivery failed; it is retried")
    shipper.kill()
    command = [peer("rsyslogd"), "-n", "-i", str(tmp_path / "rsyslog.pid"), "-f", str(tmp_path / f"{port}.conf")]
    again = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        append(log, "".join(f"after {number}\n" for number in range(500)))
        second = start("logshipper", **settings)
        second.wait_ready(admin)
        wait_until(lambda: metric(admin, 'logshipper_pending_bytes{sink="default"}') == 0, "all of it")
        assert second.stop() == 0
    finally:
        again.terminate()
        again.wait(30)
    records = understood(tmp_path)
    texts = Counter((id_of(record), record["text"]) for record in records)
    wanted = {f"{when} {number}" for when in ("before", "while it is away", "after") for number in range(500)}
    assert sorted(text for _, text in texts) == sorted(wanted), "0 missing, and a repeat is known by its id"
