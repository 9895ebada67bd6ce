"""Published archives can be opened by Java, and archives that Java opens are not refused for their form.

The oracle is a real JDK (17 or newer), which opens archives with JarFile, as Tomcat does.
"""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given

from sidecars.warcopier.archive.verification import summarize, verify_archive
from sidecars.warcopier.archive.zip_format import BadArchive
from tests.support import examples
from tests.warcopier.archives import CENTRAL, WIDE, mutations, packed, patched, wide, with_comment, with_extra
from tests.warcopier.java import Java
from tests.warcopier.support import UNPACK, Copier, published, refused


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Java]:
    with Java(tmp_path_factory.mktemp("java")) as found:
        yield found


def accepted(data: bytes, names: str = "any") -> bool:
    try:
        verify_archive(lambda offset, length: data[offset : offset + length], len(data), WIDE, names)
    except BadArchive:
        return False
    return True


ZIP64 = 0x0001
LATIN_1 = packed({"k?ln": b"x"}).replace(b"k?ln", b"k\xf6ln")
OVERLONG = packed({"k??n": b"x"}).replace(b"k??n", b"k\xc0\xafn")
SURROGATE = packed({"k???": b"x"}).replace(b"k???", b"k\xed\xa0\x80")
FLAGGED = packed({"k\u00f6ln": b"x"})


def extra(raw: bytes) -> bytes:
    return with_extra(packed({"a": b"x"}), raw)


def zip64(raw: bytes) -> bytes:
    return extra(struct.pack("<HH", ZIP64, len(raw)) + raw)


def needless(data: bytes) -> bytes:
    """Return an archive with a zip64 end record that is not needed, as some streaming writers add one."""
    end = data.rfind(b"PK\5\6")
    _, _, _, _, total, length, offset, _ = struct.unpack("<4sHHHHLLH", data[end : end + 22])
    long = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, total, total, length, offset)
    return data[:end] + long + struct.pack("<4sLQL", b"PK\6\7", 0, end, 1) + data[end:]


ODD = {
    "latin-1 name": (LATIN_1, False),
    "overlong name": (OVERLONG, False),
    "surrogate in a name": (SURROGATE, False),
    "utf-8 name with the flag": (FLAGGED, True),
    "utf-8 name without the flag": (patched(FLAGGED, CENTRAL, 8, b"\0\0"), True),
    "comment that is not utf-8": (with_comment(packed({"a": b"x"}), b"\xff"), False),
    "comment in utf-8": (with_comment(packed({"a": b"x"}), "\u00f6".encode()), True),
    "extra field cut short": (extra(struct.pack("<HH", 0x5455, 9) + b"\1\0\0\0\0"), False),
    "extra field with padding": (extra(struct.pack("<HH", 0xCAFE, 0) + b"\0\0\0"), True),
    "extra field of zeros": (extra(bytes(4)), True),
    "extra field of one byte": (extra(b"x"), True),
    "timestamp that is too short": (extra(struct.pack("<HHB", 0x5455, 1, 1)), True),
    "zip64 field of no bytes": (zip64(b""), True),
    "zip64 field of 7 bytes": (zip64(bytes(7)), False),
    "zip64 field of 12 bytes": (zip64(bytes(12)), False),
    "zip64 field of 32 bytes": (zip64(bytes(32)), False),
    "zip64 fields in the local headers": (wide({"a": b"x"}), True),
    "zip64 end record that is not needed": (needless(packed({"a": b"x"})), True),
    "zip64 end record that disagrees": (patched(needless(packed({"a": b"x"})), b"PK\6\6", 32, bytes(8)), False),
    "zip64 locator that leads nowhere": (patched(needless(packed({"a": b"x"})), b"PK\6\6", 0, b"XX"), False),
    "something before a zip64 end record": (b"#!/bin/sh\n" + needless(packed({"a": b"x"})), False),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_archives_are_taken_where_java_takes_them(java: Java, name: str) -> None:
    data, good = ODD[name]
    assert accepted(data) == good
    if good:
        assert java.verdict(data) == "opened 1"
    elif "zip64 end" not in name and "locator" not in name:
        assert not java.opens(data)


@examples(400)
@given(mutations())
@example(LATIN_1)
def test_whatever_is_accepted_java_can_open(java: Java, data: bytes) -> None:
    if accepted(data):
        read = summarize(lambda offset, length: data[offset : offset + length], len(data), WIDE, "any")
        assert java.verdict(data) == f"opened {read.contents.entries}"


def with_modes(modes: dict[str, int], path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for name, mode in modes.items():
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, mode << 16
            archive.writestr(entry, b"")
    return path.read_bytes()


def test_a_mode_that_is_no_type_at_all_is_no_reason_to_refuse(copier: Copier, tmp_path: Path, java: Java) -> None:
    """Older Maven archivers wrote directories with mode 0177777."""
    modes = {"META-INF/": 0o177777, "META-INF/MANIFEST.MF": 0o177777, "WEB-INF/": 0o177777, "a.txt": stat.S_IFREG}
    data = with_modes(modes, tmp_path / "built")
    assert java.opens(data)
    copier.offer(shop=data)
    published(copier.run(**UNPACK))
    assert (copier.target / "shop" / "WEB-INF").is_dir()
    assert (copier.target / "shop" / "META-INF" / "MANIFEST.MF").is_file()


@pytest.mark.parametrize("unpack", ["true", "false"])
@pytest.mark.parametrize("name", ["latin-1 name", "extra field cut short", "comment that is not utf-8"])
def test_what_tomcat_would_answer_with_404_is_refused_with_the_reason(copier: Copier, name: str, unpack: str) -> None:
    copier.offer(shop=ODD[name][0])
    refused(copier.run(WARCOPIER_UNPACK=unpack), 65, "has an entry that Java cannot read", "nothing was published")
    assert copier.names() == []
