"""The page for those who come from Fluent Bit, Filebeat or Promtail: each of our configurations does what it says."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from sidecars.chassis.runtime.light_dataclasses import fields
from sidecars.logshipper.config.input_settings import InputSettings
from tests.logshipper.pipelines import shipped
from tests.support import ROOT
from tools.documents.blocks import Block, all_blocks

PAGE = "docs/how-to/move-from-fluent-bit-filebeat-promtail.md"
BLOCKS = [block for block in all_blocks() if block.file == PAGE]
OURS = [block for block in BLOCKS if block.has_settings_alone]
THEIRS = [yaml.safe_load(block.text) for block in BLOCKS if block.language == "yaml"]


@pytest.mark.parametrize("block", OURS, ids=lambda block: block.place)
def test_a_translated_configuration_passes_the_check_of_the_program(block: Block, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("es-password", "kafka-password", "loki-token"):
        (tmp_path / name).write_text("placeholder\n")
    text = block.text.replace("=/secrets/", f"={tmp_path}/").replace("=/tls/", f"={tmp_path}/")
    program = f"set -a\n{text}\nexec {sys.executable} -m sidecars.logshipper --check"
    done = subprocess.run(
        ["/usr/bin/env", "-i", "/bin/sh", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


_LINES = [
    """\
2026-11-30 06:00:00.104 ERROR [main] com.shop.Pay - it failed
java.lang.IllegalStateException: no money
\tat com.shop.Pay.pay(Pay.java:12)
2026-11-30 06:00:00.105 INFO  [main] com.shop.Web - GET /health
2026-11-30 06:00:00.106 WARN  [pool-1] com.shop.Web - slow
""",
    """\
{"ts":"2026-11-30T06:00:00+01:00","level":"error","msg":"it failed","status":500,"headers":{"cookie":"x"}}
no JSON
""",
    """\
2026-11-30T06:00:00.5Z stdout F ts=2026-11-30T05:59:59.25Z level=warn tenant=a msg="slow" password=hunter2
2026-11-30T06:00:00.6Z stdout F ts=2026-11-30T05:59:59.26Z level=info msg="GET /healthz"
""",
]
_RECORDS: list[list[dict[str, Any]]] = [
    [
        {
            "time": "2026-11-30T06:00:00.104Z",
            "level": "ERROR",
            "severity": "ERROR",
            "team": "payments",
            "logger": "com.shop.Pay",
            "message": "it failed\njava.lang.IllegalStateException: no money\n\tat com.shop.Pay.pay(Pay.java:12)",
        },
        {
            "time": "2026-11-30T06:00:00.106Z",
            "level": "WARN",
            "severity": "WARN",
            "team": "payments",
            "logger": "com.shop.Web",
            "message": "slow",
        },
    ],
    [
        {
            "time": "2026-11-30T05:00:00Z",
            "level": "error",
            "severity": "ERROR",
            "team": "payments",
            "message": "it failed",
            "http": {"status": 500},
        },
        {"team": "payments", "message": "no JSON", "parse_error": "json"},
    ],
    [
        {
            "time": "2026-11-30T05:59:59.250Z",
            "level": "warn",
            "severity": "WARN",
            "app": "shop",
            "env": "prod",
            "stream": "stdout",
            "tenant": "a",
            "msg": "slow",
            "password": "[redacted]",
        }
    ],
]


@pytest.mark.parametrize("number", range(3))
def test_a_translated_configuration_does_what_the_page_says(number: int) -> None:
    values = dict(shlex.split(line)[0].split("=", 1) for line in OURS[number].text.splitlines())
    known = {field.name for field in fields(InputSettings)}
    of_input = {
        name.removeprefix("LOGSHIPPER_"): value
        for name, value in values.items()
        if name.removeprefix("LOGSHIPPER_").lower() in known and name != "LOGSHIPPER_PATHS"
    }
    found = shipped(_LINES[number], **of_input)
    for record in found:
        del record["id"]
    assert found == _RECORDS[number]


def test_each_of_the_three_is_translated() -> None:
    assert len(OURS) == 3
    assert [next(iter(one)) for one in THEIRS] == ["parsers", "filebeat.inputs", "positions"]
