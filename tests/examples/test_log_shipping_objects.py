"""The object store of examples/log-shipping and its view, as processes on loopback: each line is there exactly once."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from tests.examples.test_log_shipping import EXAMPLE, SECRET, Twins, numbers_of, receivers, twins
from tests.logshipper import s3_servers
from tests.logshipper.support import Receiver
from tests.support import free_port, wait_until

__all__ = ["receivers", "twins"]  # fixtures

VIEW_KEY = ("view", "not-a-secret-of-the-view")


@pytest.fixture(scope="module")
def view() -> ModuleType:
    """Return the module of the example's page."""
    spec = spec_from_file_location("view", EXAMPLE / "view.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["view"] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


@contextmanager
def page(endpoint: str) -> Iterator[httpx.Client]:
    """Run the view, and yield a client of it."""
    port = free_port()
    environ = {"VIEW_BUCKET": f"{endpoint}/logs", "VIEW_PORT": str(port)}
    environ |= dict(zip(("VIEW_KEY", "VIEW_SECRET"), VIEW_KEY, strict=True))
    program = subprocess.Popen([sys.executable, "-I", str(EXAMPLE / "view.py")], env=environ)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            wait_until(lambda: _answers(client), "the view answers")
            yield client
    finally:
        program.terminate()
        assert program.wait(30) == 0


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/sums").status_code == 200
    except httpx.TransportError:
        return False


def test_the_view_shows_each_line_once_after_kill_nine(tmp_path: Path, twins: Twins, receivers: list[Receiver]) -> None:
    """SeaweedFS has the keys of the example: the shipper's cannot read, and the view's cannot write."""
    keys = EXAMPLE / "objects.json"
    with s3_servers.seaweedfs(tmp_path / "server", keys=keys, bucket="logs") as endpoint, page(endpoint) as client:
        twin = twins("pod.yaml", endpoint)
        receivers += [Receiver(port) for port in twin.ports.values()]
        fast = {"LOGSHIPPER_ARCHIVE_BATCH_TIMEOUT": "50ms"}
        program = twin.logshipper(**fast)
        program.wait_ready(twin.admin)
        app = twin.app(APP_LINES="4000", APP_RATE="2000")
        for wanted in (0, 1500):
            wait_until(partial(has_more_than, client, wanted), "lines arrive")
            program.kill()
            program = twin.logshipper(**fast)
        assert app.wait(60) == 0
        program.wait_ready(twin.admin)
        wait_until(lambda: twin.pending("archive") == 0, "everything is stored")
        sums = client.get("/sums").text
        assert sums.endswith(" 4000 lines: 0 missing before number 4000, 0 bytes twice\n")
        html = client.get("/")
        assert html.headers["content-security-policy"].startswith("default-src 'none'")
        assert sums.strip() in html.text
        found = s3_servers.objects(endpoint, keys=VIEW_KEY)
        assert numbers_of(s3_servers.records(found)) == dict.fromkeys(range(4000), 1)
        key = next(key for key in found if f'href="/objects/{key}"' in html.text)
        text = client.get(f"/objects/{key}")
        assert text.text == "".join(f"{record['message']}\n" for record in s3_servers.records({key: found[key]}))
        assert client.get("/objects/noisy/none").status_code == 404
        assert program.stop() == 0
        with s3_servers.client(endpoint, keys=("shipper", SECRET)) as shipper, pytest.raises(Exception, match="Denied"):
            shipper.get_object(Bucket="logs", Key=key)
        with s3_servers.client(endpoint, keys=VIEW_KEY) as reader, pytest.raises(Exception, match="Denied"):
            reader.put_object(Bucket="logs", Key="x", Body=b"")


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [("http://no-such-name.invalid", "its name cannot be resolved"), ("http://127.0.0.1:1", "Connection refused")],
)
async def test_the_view_says_in_words_why_the_store_does_not_answer(
    view: ModuleType, endpoint: str, reason: str
) -> None:
    async def ask(_request: object) -> None:
        await view.Store(endpoint, httpx.Auth()).keys()

    response = await view.say_what_failed(None, ask)
    assert (response.status, response.text) == (502, f"the store does not answer: {reason}\n")


def has_more_than(client: httpx.Client, lines: int) -> bool:
    return int(client.get("/sums").text.split()[2]) > lines


def an_object(*records: tuple[str, str]) -> bytes:
    return gzip.compress(
        b"".join(json.dumps({"id": ident, "message": text}).encode() + b"\n" for ident, text in records)
    )


@pytest.mark.parametrize(
    ("objects", "sums"),
    [
        ([[("a-0", " line 0"), ("a-8", " line 1")]], "1 objects, 2 lines: 0 missing before number 2, 0 bytes twice"),
        ([[("a-8", " line 1")], [("a-0", " line 0")]], "2 objects, 2 lines: 0 missing before number 2, 0 bytes twice"),
        ([[("a-0", " line 0")], [("a-0", " line 0")]], "2 objects, 2 lines: 0 missing before number 1, 8 bytes twice"),
        ([[("a-0", " line 0")], [("b-0", " line 3")]], "2 objects, 2 lines: 2 missing before number 4, 0 bytes twice"),
        ([[("a-0", " line 1")]], "1 objects, 1 lines: 1 missing before number 2, 0 bytes twice"),
        ([[("a-0+3", "one"), ("a-3", "")]], "1 objects, 2 lines: 0 missing before number 0, 0 bytes twice"),
        ([[("a-0+5", "one")], [("a-3", "ü")]], "2 objects, 2 lines: 0 missing before number 0, 2 bytes twice"),
        ([[("a-0", "1234")], [("b-0", "1234")]], "2 objects, 2 lines: 0 missing before number 0, 0 bytes twice"),
    ],
)
def test_the_ids_tell_what_is_there_twice_and_the_numbers_what_is_missing(
    view: ModuleType, objects: list[list[tuple[str, str]]], sums: str
) -> None:
    assert view.sums(view.contents(an_object(*records)) for records in objects) == sums


def test_the_image_of_the_store_has_the_keys_of_the_example() -> None:
    keys = {
        identity["name"]: identity["credentials"][0]["secretKey"]
        for identity in json.loads((EXAMPLE / "objects.json").read_text())["identities"]
    }
    assert keys == {"shipper": SECRET, VIEW_KEY[0]: VIEW_KEY[1]}
