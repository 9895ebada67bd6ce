"""The sinks nats:// and nats+tls:// with a real server: a stream's acknowledgements, and no repeats in its window."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import trustme

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused, RetryLater
from tests.conftest import Start
from tests.logshipper.nats_server import Client, nats_server
from tests.logshipper.opened_sinks import opened
from tests.logshipper.support import a_batch, a_chunk, append, environ, metric
from tests.support import free_port, wait_until


def batch(text: str = "1\n2\n3\n", start: int = 0) -> Batch:
    return a_batch(a_chunk(text.encode(), start), pod="shop-1", app="shop")


async def test_a_stream_has_each_record_once_however_often_it_is_sent(tmp_path: Path) -> None:
    with nats_server(tmp_path) as port, closing(Client(port)) as client:
        client.create_stream("LOGS", "logs.>")
        lines = "".join(f"{number}\n" for number in range(3000))
        async with opened(f"nats://127.0.0.1:{port}/logs.shop") as sink:
            for _ in range(2):
                outcome = await sink.deliver(batch(lines))
                assert (list(outcome.retry), list(outcome.rejected)) == ([], [])
        assert client.count("LOGS") == 3000
        record = client.messages("LOGS")[7]
        assert record == {"id": "f00d-14", "file": "/logs/a%d.log", "pod": "shop-1", "app": "shop", "message": "7"}


async def test_without_a_stream_the_lines_wait_and_the_reason_is_clear(tmp_path: Path) -> None:
    with nats_server(tmp_path) as port, closing(Client(port)) as client:
        async with opened(f"nats://127.0.0.1:{port}/logs.shop") as sink:
            with pytest.raises(RetryLater, match=r"no stream takes the subject logs\.shop: create it"):
                await sink.deliver(batch())
            client.create_stream("LOGS", "logs.shop", max_msg_size=200, max_msgs=4, discard="new")
            outcome = await sink.deliver(batch(f"1\n{'x' * 500}\n3\n"))
            assert [index for index, _ in outcome.rejected] == [1]
            assert "the stream did not take a message" in outcome.rejected[0][1]
            outcome = await sink.deliver(batch("1\n2\n3\n", 5000))
            assert list(outcome.retry) == [2]
            assert "maximum messages exceeded" in outcome.retry_reason


async def test_an_event_beyond_max_payload_is_rejected_if_others_are_accepted(tmp_path: Path) -> None:
    with nats_server(tmp_path, "max_payload: 4096") as port, closing(Client(port)) as client:
        client.create_stream("LOGS", "logs.shop")
        async with opened(f"nats://127.0.0.1:{port}/logs.shop") as sink:
            outcome = await sink.deliver(batch(f"1\n{'x' * 5000}\n3\n"))
            assert list(outcome.rejected) == [(1, "it is larger than the server's max_payload of 4096 bytes")]
            with pytest.raises(BatchRefused):
                await sink.deliver(batch(f"{'x' * 5000}\n"))
        assert [record["message"] for record in client.messages("LOGS")] == ["1", "3"]


@pytest.mark.parametrize(
    ("authorization", "right", "wrong"),
    [
        ("authorization { token: s3cret }", {"sink_token": "s3cret"}, {"sink_token": "other"}),
        (
            "authorization { user: me, password: s3cret }",
            {"sink_username": "me", "sink_password": "s3cret"},
            {"sink_username": "me", "sink_password": "other"},
        ),
    ],
)
async def test_a_server_lets_those_in_whom_it_knows(
    tmp_path: Path, authorization: str, right: dict[str, str], wrong: dict[str, str]
) -> None:
    names = {"sink_token": "auth_token", "sink_username": "user", "sink_password": "pass"}
    ours = {names[name]: value for name, value in right.items()}
    with nats_server(tmp_path, authorization) as port, closing(Client(port, **ours)) as client:
        client.create_stream("LOGS", "logs.shop")
        url = f"nats://127.0.0.1:{port}/logs.shop"
        for settings in (wrong, {}):
            async with opened(url, **settings) as sink:
                with pytest.raises(RetryLater, match=r"Authorization Violation \(are the credentials right\?\)"):
                    await sink.deliver(batch())
        async with opened(url, **right) as sink:
            await sink.deliver(batch())
        assert client.count("LOGS") == 3


async def test_over_tls_the_server_is_trusted_by_its_configured_name(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    for name in ("localhost", "elsewhere.test"):
        folder = tmp_path / name
        folder.mkdir()
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
        more = f'tls {{ cert_file: "{folder}/both.pem", key_file: "{folder}/both.pem" }}'
        with nats_server(folder, more) as port:
            url, ca = f"nats+tls://localhost:{port}/logs.shop", str(tmp_path / "ca.crt")
            wanted = "no stream takes" if name == "localhost" else "is not accepted: Hostname mismatch"
            async with opened(url, sink_ca=ca) as sink:
                with pytest.raises(RetryLater, match=wanted):
                    await sink.deliver(batch())
            async with opened(url.replace("+tls", "")) as sink:
                with pytest.raises(RetryLater, match=r"the server requires TLS: use nats\+tls"):
                    await sink.deliver(batch())


def test_every_line_is_in_the_stream_exactly_once_after_kill_nine(tmp_path: Path, start: Start) -> None:
    """Run the program, and kill it in the middle of its first lines."""
    admin = free_port()
    log = tmp_path / "logs" / "app.log"
    with nats_server(tmp_path) as port:
        client = Client(port)
        client.create_stream("LOGS", "logs.shop")
        settings = environ(tmp_path, admin, LOGSHIPPER_SINK=f"nats://127.0.0.1:{port}/logs.shop")
        settings["LOGSHIPPER_BATCH_SIZE"] = "4KiB"
        append(log, "".join(f"before {number}\n" for number in range(2000)))
        shipper = start("logshipper", **settings)
        wait_until(lambda: client.count("LOGS"), "the first lines")
        shipper.kill()
        append(log, "".join(f"after {number}\n" for number in range(500)))
        second = start("logshipper", **settings)
        second.wait_ready(admin)
        wait_until(lambda: metric(admin, 'logshipper_pending_bytes{sink="default"}') == 0, "all of it")
        assert second.stop() == 0
        with closing(client):
            texts = [record["message"] for record in client.messages("LOGS")]
    assert sorted(texts) == sorted([f"before {n}" for n in range(2000)] + [f"after {n}" for n in range(500)])
