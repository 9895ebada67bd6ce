"""Archives for tests: as tools write them, damaged, and hostile."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile

from hypothesis import strategies as st

from sidecars.warcopier.archive.verification import Limits

WIDE = Limits(entries=10**6, uncompressed_size=1 << 50, ratio=10**6)
CENTRAL = b"PK\1\2"
END = struct.Struct("<4sHHHHLLH")


def packed(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    """Return an archive with these entries, as the standard library writes it to a file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
        archive.comment = comment
    return buffer.getvalue()


def streamed(entries: dict[str, bytes]) -> bytes:
    """Return an archive as it is written to a pipe: sizes and checksums follow the data, in data descriptors."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += bytes(data)  # type: ignore[call-overload] # whatever the zipfile hands over
            return len(bytes(data))  # type: ignore[call-overload] # whatever the zipfile hands over

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return bytes(pipe.data)


def wide(entries: dict[str, bytes]) -> bytes:
    """Return an archive with zip64 fields in every local header."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(data)
    return buffer.getvalue()


def patched(data: bytes, needle: bytes, offset: int, replacement: bytes, *, last: bool = False) -> bytes:
    """Return the data with other bytes at an offset from the first (or `last`) needle."""
    at = (data.rfind(needle) if last else data.find(needle)) + offset
    assert at >= offset
    return data[:at] + replacement + data[at + len(replacement) :]


def twice(name: str) -> bytes:
    """Return an archive with two entries of this name, not next to each other."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr("WEB-INF/web.xml", "<web-app/>")
        archive.writestr(name, "")
        archive.writestr("between", "")
        archive.writestr(name, "")
    return buffer.getvalue()


def overlapping() -> bytes:
    """Return an archive with two entries that share one stored file: b's whole local file is inside a's data."""
    inner = packed({"b": b"B" * 50}, zipfile.ZIP_STORED)
    inner_local = inner[: inner.find(CENTRAL)]
    outer = packed({"a": inner_local}, zipfile.ZIP_STORED)
    local = outer[: outer.rfind(CENTRAL)]
    first = outer[outer.rfind(CENTRAL) : outer.rfind(b"PK\5\6")]
    second = inner[inner.find(CENTRAL) : inner.find(b"PK\5\6")]
    second = second[:42] + struct.pack("<L", len(local) - len(inner_local)) + second[46:]
    return local + first + second + END.pack(b"PK\5\6", 0, 0, 2, 2, len(first + second), len(local), 0)


# -- one header, changed -------------------------------------------------------------------------------------------


def with_extra(data: bytes, extra: bytes) -> bytes:
    """Return the archive with this extra field in its first central directory header, which must have none."""
    return _inserted(data, 30, extra)


def with_comment(data: bytes, comment: bytes) -> bytes:
    """Return the archive with this comment in its first central directory header, which must have none."""
    return _inserted(data, 32, comment)


def _inserted(data: bytes, field: int, what: bytes) -> bytes:
    """Insert bytes after the name in the first central directory header, and set the 16-bit length at `field`."""
    at, end = data.find(CENTRAL), data.rfind(b"PK\5\6")
    name = at + 46 + int.from_bytes(data[at + 28 : at + 30], "little")
    header = bytearray(data[at:name])
    header[field : field + 2] = struct.pack("<H", len(what))
    size = int.from_bytes(data[end + 12 : end + 16], "little") + len(what)
    tail = data[end : end + 12] + struct.pack("<L", size) + data[end + 16 :]
    return data[:at] + bytes(header) + what + data[name:end] + tail


# -- archives with damage, as a strategy ---------------------------------------------------------------------------

EXTREME = (0, 1, 0x7F, 0x80, 0xFF)
MARKS = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7")
FIELDS = (*range(4, 46, 2), 46, 47, 50, 54, 58)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """Draw an archive in which some numbers of its headers, or any bytes, are changed; sometimes none."""
    extra = draw(st.sampled_from([b"", bytes(4), struct.pack("<HHBl", 0x5455, 5, 1, -1), b"\1\0\20\0" + b"\xff" * 16]))
    whole = with_extra(packed({"WEB-INF/web.xml": b"<web-app/>" * 9, "d/k\u00f6ln.txt": b"x", "d/": b""}), extra)
    data = bytearray(draw(st.sampled_from([whole, wide({"a": b"a", "b/c": b"c" * 99}), streamed({"a": b"a" * 50})])))
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            mark = draw(st.sampled_from(MARKS))
            places = [at for at in range(len(data)) if data.startswith(mark, at)] or [0]
            at = draw(st.sampled_from(places)) + draw(st.sampled_from(FIELDS))
            value = bytes([draw(st.sampled_from(EXTREME))]) * draw(st.sampled_from([1, 2, 4, 8]))
        else:
            at, value = draw(st.integers(0, len(data) - 1)), draw(st.binary(min_size=1, max_size=4))
        data[at : at + len(value)] = value
    return bytes(data[: draw(st.integers(1, len(data)))] if draw(st.integers(0, 9)) == 9 else data)
