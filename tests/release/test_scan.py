"""The Debian packages of the images are scanned as if dpkg had installed them. debsecan's network is not there."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tools.names import SIDECARS
from tools.release import scan

RECORD = "Package: {}\nStatus: install ok installed\nVersion: 1\n"


def archive() -> bytes:
    """Return a tar archive as `docker cp` makes it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as opened:
        for name, text in {
            "zlib1g": RECORD.format("zlib1g"),
            "libc6": RECORD.format("libc6"),
            "libc6.md5sums": "0  x",
        }.items():
            member = tarfile.TarInfo(f"status.d/{name}")
            member.size = len(text)
            opened.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()


def test_the_records_become_one_status_file_without_the_checksums() -> None:
    assert scan.status(archive()) == f"{RECORD.format('libc6')}\n{RECORD.format('zlib1g')}\n"


@pytest.mark.parametrize(("line", "code"), [("", 0), ("CVE-2030-1 libc6 (fixed)", 1)])
def test_a_vulnerability_with_a_fix_fails_and_names_the_image(
    line: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "debsecan"
    program.write_text(
        f'#!/bin/sh\nwhile [ "$1" != --status ]; do shift; done\ngrep -q libc6 "$2" && echo "{line}" | grep . || true\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(scan, "records", lambda _: archive())
    assert scan.main([]) == code
    printed = capsys.readouterr().out.splitlines()
    assert printed == ([f"{name}: {line}" for name in SIDECARS] if line else [printed[0]])
