"""Archives to try things on: as every tool makes them, and as none should."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile

from sidecars.warcopier.archive import Limits

WIDE = Limits(entries=10**6, unpacked=1 << 50, ratio=10**6)
CENTRAL = b"PK\1\2"
END = struct.Struct("<4sHHHHLLH")


def packed(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    """As the standard library makes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
        archive.comment = comment
    return buffer.getvalue()


def streamed(entries: dict[str, bytes]) -> bytes:
    """As written to a pipe: sizes and checksums stand behind the data, in data descriptors."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += bytes(data)  # type: ignore[call-overload] # whatever the zipfile hands over
            return len(bytes(data))  # type: ignore[call-overload] # as above

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return bytes(pipe.data)


def wide(entries: dict[str, bytes]) -> bytes:
    """With zip64 fields in every local header."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(data)
    return buffer.getvalue()


def patched(data: bytes, needle: bytes, offset: int, replacement: bytes, *, last: bool = False) -> bytes:
    """With other bytes in one place, so far behind the first (or `last`) needle."""
    at = (data.rfind(needle) if last else data.find(needle)) + offset
    assert at >= offset
    return data[:at] + replacement + data[at + len(replacement) :]


def twice(name: str) -> bytes:
    """With two entries of that name, not one after the other."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr("WEB-INF/web.xml", "<web-app/>")
        archive.writestr(name, "")
        archive.writestr("between", "")
        archive.writestr(name, "")
    return buffer.getvalue()


def overlapping() -> bytes:
    """Two entries of the directory that share one stored file: b's whole local file is inside a's data."""
    inner = packed({"b": b"B" * 50}, zipfile.ZIP_STORED)
    inner_local = inner[: inner.find(CENTRAL)]
    outer = packed({"a": inner_local}, zipfile.ZIP_STORED)
    local = outer[: outer.rfind(CENTRAL)]
    first = outer[outer.rfind(CENTRAL) : outer.rfind(b"PK\5\6")]
    second = inner[inner.find(CENTRAL) : inner.find(b"PK\5\6")]
    second = second[:42] + struct.pack("<L", len(local) - len(inner_local)) + second[46:]
    return local + first + second + END.pack(b"PK\5\6", 0, 0, 2, 2, len(first + second), len(local), 0)
