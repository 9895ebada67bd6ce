"""HTTP sinks behind a proxy: what it sees, what it cannot do, and what is said when it refuses."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from sidecars.chassis.config.settings import SettingsError
from sidecars.logshipper.config.over_http.http_settings import proxy_of
from sidecars.logshipper.sinks.base import RetryLater
from tests.logshipper.opened_sinks import create, loaded, opened
from tests.logshipper.posting import ACCEPTED, batch, request_of, served
from tests.logshipper.receivers.proxy import proxy
from tests.logshipper.support import Receiver

NAME = "logs.receiver.test"


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def authority_for(folder: Path, *names: str) -> tuple[str, ssl.SSLContext]:
    made = trustme.CA()
    made.cert_pem.write_to_path(folder / "ca.crt")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert(*names).configure_cert(context)
    return str(folder / "ca.crt"), context


async def test_https_goes_through_a_tunnel_with_tls_by_the_receivers_own_name(tmp_path: Path) -> None:
    ca, context = authority_for(tmp_path, NAME)
    heads = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append((await request_of(reader))[0])
            writer.write(ACCEPTED)

    async with (
        served(serve, context) as address,
        proxy({f"{NAME}:8443": port_of(address)}, "Basic c2hvcDpzM2NyZXRwYXNz") as way,
        opened(
            f"https://{NAME}:8443/in?q",
            sink_ca=ca,
            sink_proxy=f"http://shop:s3cretpass@127.0.0.1:{way.port}",
            sink_token="t0kent0ken",
        ) as sink,
    ):
        await sink.deliver(batch("one line\n"))
        await sink.deliver(batch("another\n", 9))
    assert way.requests == [f"CONNECT {NAME}:8443 HTTP/1.1"]
    assert [head.split(b"\r\n")[0] for head in heads] == [b"POST /in?q HTTP/1.1"] * 2
    assert b"proxy-authorization" not in heads[0].lower()
    assert b"t0kent0ken" not in way.inside
    assert b"one line" not in way.inside


async def test_the_certificate_must_be_that_of_the_receiver(tmp_path: Path) -> None:
    ca, context = authority_for(tmp_path, "localhost", "127.0.0.1")
    seen = []

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read())

    async with (
        served(serve, context) as address,
        proxy({f"{NAME}:443": port_of(address)}) as way,
        opened(f"https://{NAME}/", sink_ca=ca, sink_proxy=f"127.0.0.1:{way.port}") as sink,
    ):
        with pytest.raises(RetryLater, match=f"the certificate of {NAME}:443 is not accepted"):
            await sink.deliver(batch("one line\n"))
    assert seen in ([], [b""])


async def test_http_without_tls_is_asked_for_by_its_whole_url(receiver: Receiver) -> None:
    async with proxy({f"{NAME}:80": receiver.port}, "Basic c2hvcDpzM2NyZXRwYXNz") as way:
        through = {"http_proxy": f"http://shop:s3cretpass@127.0.0.1:{way.port}"}
        async with opened(f"http://{NAME}/logs?a=b", through) as sink:
            await sink.deliver(batch("one line\n"))
    assert way.requests == [f"POST http://{NAME}/logs?a=b HTTP/1.1"]
    assert receiver.messages() == ["one line"]
    assert "Proxy-Authorization" not in receiver.requests[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_407_waits_for_people(scheme: str) -> None:
    async with (
        proxy({}, "Basic other") as way,
        opened(f"{scheme}://{NAME}/", sink_proxy=f"http://a:s3cretpass@127.0.0.1:{way.port}") as sink,
    ):
        with pytest.raises(RetryLater, match=r"407.*http://user:password@host:port") as error:
            await sink.deliver(batch("one line\n"))
    assert "s3cretpass" not in error.value.reason


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "makes no connection to the receiver: it responded with 403"),
        (b"HTTP/1.1 200 OK\r\n\r\nbefore you", "sent more than its response before TLS began"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50, "does not respond in HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "responds with a head of more than 16384 bytes"),
        (b"\x15\x03\x01\x00\x02\x02\x50", "does not respond in HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\n", "closed the connection without a response"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "the connection|closed"),
    ],
)
async def test_a_proxy_that_misbehaves_costs_a_sentence(response: bytes, reason: str) -> None:
    async with proxy({}) as way:
        way.response = response
        async with opened(f"https://{NAME}/", sink_proxy=f"http://127.0.0.1:{way.port}") as sink:
            with pytest.raises(RetryLater, match=reason):
                await sink.deliver(batch("one line\n"))


async def test_a_proxy_that_is_silent_is_given_up_with_the_request() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with served(silent) as address:
        through = address.replace("localhost", "http://127.0.0.1")
        async with opened(f"https://{NAME}/", sink_proxy=through, request_timeout="300ms") as sink:
            with pytest.raises(RetryLater, match=r"no response within 0\.3 s"):
                await sink.deliver(batch("one line\n"))


async def test_a_proxy_that_is_away_is_named() -> None:
    async with opened(f"https://{NAME}/", sink_proxy="http://a:s3cretpass@127.0.0.1:1") as sink:
        with pytest.raises(
            RetryLater, match=r"cannot connect to the proxy http://\*\*\*@127\.0\.0\.1:1: Connection refused"
        ):
            await sink.deliver(batch("one line\n"))


# -- the choice ----------------------------------------------------------------------------------------------------

PROXIES = {"https_proxy": "http://one:1", "HTTPS_PROXY": "http://two:2", "HTTP_PROXY": "three:3", "ALL_PROXY": "four:4"}


@pytest.mark.parametrize(
    ("url", "environ", "settings", "chosen"),
    [
        ("https://example.org/", PROXIES, {}, "http://one:1"),
        ("loki+https://example.org/", {"HTTPS_PROXY": "two:2"}, {}, "http://two:2"),
        ("otlp+http://example.org/", PROXIES, {}, "http://three:3"),
        ("http://example.org/", {"all_proxy": "four:4"}, {}, "http://four:4"),
        ("https://example.org/", {**PROXIES, "NO_PROXY": ".org"}, {}, "None"),
        ("https://example.org/", {**PROXIES, "NO_PROXY": "other", "no_proxy": ".org"}, {}, "None"),
        ("https://localhost/", PROXIES, {}, "None"),
        ("https://example.org/", PROXIES, {"sink_proxy": "off"}, "None"),
        ("https://example.org/", {**PROXIES, "NO_PROXY": "*"}, {"sink_proxy": "http://own:5"}, "http://own:5"),
        ("forward://example.org", PROXIES, {}, "None"),
        ("stdout:", PROXIES, {}, "None"),
        ("https://example.org/", {}, {}, "None"),
    ],
)
def test_which_proxy_a_sink_has(url: str, environ: dict[str, str], settings: dict[str, str], chosen: str) -> None:
    found = loaded(url, environ, **settings)
    assert str(proxy_of(found, found.sinks["default"])) == chosen


def test_the_first_line_says_the_proxy_without_its_credentials() -> None:
    found = loaded("https://example.org/", {"HTTPS_PROXY": "http://shop:s3cretpass@proxy:3128"})
    assert found.summary() == "ships /logs/*.log to https://example.org through the proxy http://***@proxy:3128"


@pytest.mark.parametrize(
    ("environ", "settings", "problem"),
    [
        (
            {"HTTPS_PROXY": "socks5://u:s3cretpass@proxy"},
            {},
            r"socks5://\*\*\*@proxy:80 is set as a proxy, and sinks use",
        ),
        (
            {"HTTPS_PROXY": "http://:s3cretpass@"},
            {},
            r"^HTTPS_PROXY=\*\*\*: expected http://\[user:password@\]host:port$",
        ),
        ({"https_proxy": "x y"}, {}, r"^https_proxy=\*\*\*: expected http"),
        ({}, {"sink_proxy": "https://proxy"}, r"^LOGSHIPPER_SINK_PROXY=\*\*\*: expected .*, or off$"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_at_the_start(
    environ: dict[str, str], settings: dict[str, str], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        create("https://example.org/", environ, **settings)


def test_a_socks_proxy_that_no_sink_would_use_is_none_of_our_business() -> None:
    create("https://localhost/", {"ALL_PROXY": "socks5://proxy:1080"})


def test_a_proxy_for_a_sink_without_http_has_no_use() -> None:
    with pytest.raises(SettingsError, match="LOGSHIPPER_SINK_PROXY is set, but forward: has no use for it"):
        create("forward://example.org", sink_proxy="http://proxy:3128")
