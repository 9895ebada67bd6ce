"""Files that begin alike, for tests with very many of them."""

from __future__ import annotations

from pathlib import Path

HEADERS = {
    "64 bytes": b"#Software: Internet Services\n#Version: 1.0\n#Fields: date time s-ip cs\n",
    "less than a kilobyte": b"a,b,c," * 50 + b"\n",
    "more than a kilobyte": b"a,b,c," * 400 + b"\n",
    "all of it": b"the very same file in each Pod of the set, with the same lines in it\n" * 40,
}
"""The first bytes of each file, by how much of the files they are."""


def fill(folder: Path, count: int, header: bytes, row: bytes) -> None:
    """Write `count` files. Each has the header, then the row with its number in place of N."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"data-{number:05d}.log").write_bytes(header + row.replace(b"N", b"%d" % number))
