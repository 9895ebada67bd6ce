"""The page for those who come from Fluent Bit, Filebeat or Promtail: each configuration of ours passes `--check`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trustme
import yaml

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


def test_each_of_the_three_is_translated() -> None:
    assert len(OURS) == 3
    assert [next(iter(one)) for one in THEIRS] == ["parsers", "filebeat.inputs", "positions"]
