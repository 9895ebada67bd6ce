"""Every parser of the warcopier: four times as much hostile input is about four times the work."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from typing import Any

import pytest

from sidecars.warcopier import tomcat_names
from sidecars.warcopier.archive.verification import verify_archive
from sidecars.warcopier.archive.zip_format import BadArchive
from sidecars.warcopier.source import sha256sums
from sidecars.warcopier.target import manifest
from tests.growth import Case, require_linear
from tests.warcopier.archives import WIDE

pytestmark = pytest.mark.slow

LARGEST_ARCHIVE = 16_000  # entries, made by the standard library
DIGEST = "0" * 64


def archive(names: Any, data: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


ARCHIVES: dict[str, Any] = {
    "entries": lambda n: archive(f"WEB-INF/classes/{k}.class" for k in range(n)),
    "names that differ in case": lambda n: archive(f"{k:b}".replace("0", "a").replace("1", "A") for k in range(n)),
    "a directory each": lambda n: archive(f"{k}/a/b/c/d/e/f" for k in range(n)),
    "deep directories": lambda n: archive(f"{'a/' * 100}{k}" for k in range(n)),
    "an end of file without a directory": lambda n: b"PK\5\6" * n,
    "a comment of ends": lambda n: archive(["a"])[:-2] + struct.pack("<H", min(n * 4, 65535)) + (b"PK\5\6" * n)[:65535],
    "zeros": bytes,
}  # fmt: skip


@pytest.mark.parametrize("rule", ["safe", "unpack"])
@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_verified_in_linear_time(name: str, rule: str) -> None:
    def verify(data: bytes) -> None:
        with contextlib.suppress(BadArchive):
            verify_archive(lambda offset, length: data[offset : offset + length], len(data), WIDE, rule)

    require_linear(Case(name, ARCHIVES[name], verify, LARGEST_ARCHIVE))


def read_record(raw: bytes) -> object:
    return manifest.parse(io.BytesIO(raw))


TEXTS: dict[str, tuple[Any, Any]] = {
    "digests": (lambda n: "".join(f"{DIGEST}  a{k}.war\n" for k in range(n)), sha256sums.parse),
    "one digest": (lambda n: f"{DIGEST}  a.war\n" * n, sha256sums.parse),
    "empty lines": (lambda n: "\n" * n, sha256sums.parse),
    "comments": (lambda n: "#\n" * n, sha256sums.parse),
    "escapes": (lambda n: f"\\{DIGEST}  {chr(92) * 2 * n}\n", sha256sums.parse),
    "a line of BSD": (lambda n: "SHA256 (" + ") = " * n, sha256sums.parse),
    "a long line": (lambda n: "0" * n, sha256sums.parse),
    "brackets of a record": (lambda n: b"[" * n, read_record),
    "lines of a record": (lambda n: b'{"version":1,"artifacts":{\n' + b'"a.war":{},\n' * n, read_record),
    "empty lines of a record": (lambda n: b'{"version":1,"artifacts":{\n' + b"\n" * n, read_record),
    "a version": (lambda n: "1" * n, tomcat_names.version_sort_key),
    "a name": (lambda n: "a#" * n + ".war", tomcat_names.context_name),
    "a name that is escaped": (lambda n: "\n" * n, tomcat_names.escaped),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_read_in_linear_time(name: str) -> None:
    make, work = TEXTS[name]

    def read(data: Any) -> None:
        with contextlib.suppress(ValueError):
            work(data)

    require_linear(Case(name, make, read, 1 << 20))
