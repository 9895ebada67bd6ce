"""The sink `s3` with real servers: SeaweedFS, moto and rclone; and with credentials that end in the middle."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from sidecars.chassis.config.settings import load
from sidecars.logshipper.config.sink_families.s3_settings import DEFAULT_OBJECT_KEY
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.identity import aws_credentials
from sidecars.logshipper.transform.parsing import name_templates
from tests.conftest import Start
from tests.logshipper import s3_servers
from tests.logshipper.chaos_s3 import episode
from tests.logshipper.receivers.object_store import ACCESS, SECRET, ObjectStore
from tests.logshipper.receivers.sts import Sts
from tests.logshipper.support import append, environ
from tests.support import ROOT, free_port, get, wait_until

KEYS = {"LOGSHIPPER_SINK_USERNAME": ACCESS, "LOGSHIPPER_SINK_PASSWORD": SECRET}


@pytest.mark.parametrize("name", s3_servers.SERVERS)
def test_a_real_server_has_each_line_in_one_object(name: str, tmp_path: Path, start: Start) -> None:
    """The lines are random, so that the object is compressed to more than a part has."""
    chance = random.Random(1)
    lines = [chance.randbytes(300).hex() for _ in range(40_000 if name == "seaweedfs" else 1000)]
    with s3_servers.SERVERS[name](tmp_path / "server") as endpoint:
        settings = environ(tmp_path, free_port(), LOGSHIPPER_SINK="s3://logs/pre", LOGSHIPPER_SINK_ENDPOINT=endpoint)
        settings |= {**KEYS, "LOGSHIPPER_EXIT_WHEN_IDLE": "100ms", "LOGSHIPPER_BATCH_TIMEOUT": "1m"}
        settings |= {"LOGSHIPPER_REQUEST_TIMEOUT": "30s", "POD_NAME": "shop-0", "POD_NAMESPACE": "shop"}
        append(tmp_path / "logs" / "app.log", "".join(f"{line}\n" for line in lines))
        shipper = start("logshipper", **settings)
        wait_until(lambda: shipper.process.poll() is not None, f"the end; {shipper.stderr_file} has its log", 180)
        assert shipper.process.returncode == 0, shipper.stderr
        found = s3_servers.objects(endpoint)
        left = [] if name == "rclone" else s3_servers.uploads(endpoint)  # rclone has no such list
    assert len(found) == 1
    assert all(key.startswith("pre/shop/shop-0/20") for key in found)
    assert [record["message"] for record in s3_servers.records(found)] == lines
    assert left == []


@pytest.mark.parametrize(("seed", "kills"), [(8, 3), (11, 1)], ids=["small", "in-parts"])
def test_no_line_is_missing_or_in_two_objects_after_kills_and_lost_answers(
    tmp_path: Path, seed: int, kills: int
) -> None:
    """A short run of `chaos_s3`; `make chaos-s3` is the long one, with all servers."""
    with s3_servers.rclone(tmp_path / "server") as endpoint:
        (tmp_path / "run").mkdir()
        chaos = episode(tmp_path / "run", endpoint, seed, kills)
    assert chaos.kills == kills
    assert bool(chaos.gateway.uploads) == chaos.is_large


def test_a_batch_that_is_collected_is_stored_even_if_its_file_is_truncated(tmp_path: Path, start: Start) -> None:
    store = ObjectStore()
    store.faults = ["503 SlowDown"] * 3
    settings = environ(tmp_path, free_port(), LOGSHIPPER_SINK="s3://logs", LOGSHIPPER_SINK_ENDPOINT=store.endpoint)
    settings |= {
        **KEYS,
        "LOGSHIPPER_REQUEST_TIMEOUT": "30s",
        "LOGSHIPPER_RETRY_MIN": "1s",
        "LOGSHIPPER_RETRY_MAX": "1s",
    }
    log = tmp_path / "logs" / "app.log"
    append(log, "".join(f"{number}\n" for number in range(5000)))
    shipper = start("logshipper", **settings)
    try:
        wait_until(lambda: store.requests, "the first attempt")
        log.write_text("")
        wait_until(lambda: store.stored, "the object")
        assert shipper.stop() == 0
    finally:
        store.close()
    assert [record["message"] for record in store.records()] == [str(number) for number in range(5000)]


@pytest.mark.parametrize("knows", [("if-none-match", "x-amz-checksum-sha256"), ()], ids=["conditions", "overwrites"])
def test_a_batch_in_flight_at_an_update_with_other_settings_is_stored_once(
    tmp_path: Path, start: Start, knows: tuple[str, ...]
) -> None:
    store = ObjectStore(knows=knows)
    store.faults = ["", "", "lost"][-3 if not knows else -1 :]  # two refusals of what it does not know come before
    settings = environ(tmp_path, free_port(), LOGSHIPPER_SINK="s3://logs", LOGSHIPPER_SINK_ENDPOINT=store.endpoint)
    settings |= {**KEYS, "LOGSHIPPER_RETRY_MIN": "30s", "LOGSHIPPER_RETRY_MAX": "30s", "POD_NAME": "shop-0"}
    append(tmp_path / "logs" / "app.log", "".join(f'{{"n":{number}}}\n' for number in range(500)))
    try:
        first = start("logshipper", **settings)
        wait_until(lambda: store.stored, "the object is there")
        first.kill()
        changed = {"LOGSHIPPER_SINK_OBJECT_KEY": "new/%j/", "LOGSHIPPER_COMPRESSION": "zstd", "POD_NAME": "shop-1"}
        changed |= {"LOGSHIPPER_FORMAT": "json", "LOGSHIPPER_EXIT_WHEN_IDLE": "100ms"}
        append(tmp_path / "logs" / "app.log", '{"n":500}\n')
        second = start("logshipper", **(settings | changed))
        wait_until(lambda: second.process.poll() is not None, f"the end; {second.stderr_file} has its log")
        assert second.process.returncode == 0, second.stderr
    finally:
        store.close()
    found = [record["n"] if "n" in record else json.loads(record["message"])["n"] for record in store.records()]
    assert sorted(found) == list(range(501))
    assert sorted(key.partition("/")[0] for key in store.objects) == ["new", "unknown"]


# -- credentials ---------------------------------------------------------------------------------------------------


async def test_moto_gives_credentials_for_a_web_identity_and_to_an_instance(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("eyJhbGciOiJub25lIn0.e30.\n")
    with s3_servers.moto(tmp_path / "server") as url:
        common = {"LOGSHIPPER_PATHS": "/logs/*", "LOGSHIPPER_SINK": "s3://logs", "AWS_REGION": "us-east-1"}
        identity = {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/logs", "AWS_ENDPOINT_URL_STS": url}
        token = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
        for environment in ({**identity, **token}, {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url}):
            settings = load(Settings, {**common, **environment})
            credentials = aws_credentials.create(settings, settings.sinks["default"])
            keys = await credentials.current()
            assert keys.access_key
            assert keys.session_token
            assert keys.expires is not None


def test_no_batch_fails_while_the_token_is_rotated_and_credentials_end(tmp_path: Path, start: Start) -> None:
    store, admin, token = ObjectStore(), free_port(), tmp_path / "token"
    sts = Sts(store, lifetime=4.0)
    settings = environ(tmp_path, admin, LOGSHIPPER_SINK="s3://logs", LOGSHIPPER_SINK_ENDPOINT=store.endpoint)
    settings |= {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/logs", "AWS_ENDPOINT_URL_STS": sts.url}
    settings |= {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "LOGSHIPPER_REQUEST_TIMEOUT": "30s"}
    token.write_text("token-0")
    shipper = start("logshipper", **settings)
    shipper.wait_ready(admin)
    written = 0

    def several_sessions() -> bool:
        """Write a line, wait until it is there, and put another token in the place of the last one."""
        nonlocal written
        append(tmp_path / "logs" / "app.log", f"{written}\n")
        written += 1
        wait_until(lambda: len(store.records()) == written, "the line arrives")
        replacement = tmp_path / "new"
        replacement.write_text(f"token-{len(sts.forms)}")
        replacement.rename(token)
        return len(sts.forms) > 3

    try:
        wait_until(several_sessions, "several sessions")
        metrics = get(f"http://127.0.0.1:{admin}/metrics").text
        assert shipper.stop() == 0
    finally:
        store.close()
        sts.close()
    assert 'logshipper_batches_total{outcome="retried",sink="default"} 0.0' in metrics, metrics
    assert store.wrong == []
    assert sorted(int(record["message"]) for record in store.records()) == list(range(written))
    tokens = [parse_qs(form)["WebIdentityToken"][0] for form in sts.forms]
    assert tokens == sorted(tokens)  # a slow test replaces none between two of them
    assert len(set(tokens)) > 1


# -- what others pay for it ----------------------------------------------------------------------------------------


def test_a_process_without_an_object_store_loads_nothing_for_it() -> None:
    code = """
import sys
from sidecars.chassis.config.settings import load
from sidecars.logshipper.settings import Settings
load(Settings, {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": "stdout:"})
print(*(name for name in sys.modules if name == "orjson" or "name_templates" in name or "sinks" in name))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "\n"
    assert name_templates.parse(DEFAULT_OBJECT_KEY)
