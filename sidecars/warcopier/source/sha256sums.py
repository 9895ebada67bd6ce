r"""Parser of `SHA256SUMS`, the file of digests that `sha256sum` and BSD's `sha256` write.

    9f86d081…  shop.war             a `*` before the name means "read as binary", and changes nothing here
    SHA256 (shop.war) = 9f86d081…   the form of BSD
    \9f86d081…  a\nb.war            a backslash at the start: newlines and backslashes in the name are escaped

Empty lines and lines that begin with `#` are skipped.
"""

from __future__ import annotations

from sidecars.warcopier.tomcat_names import escaped_prefix

_DIGITS = 64
_HEXADECIMAL = frozenset("0123456789abcdef")
_BSD = "SHA256 ("


def parse(text: str) -> dict[str, str]:
    """Return the digest of each name. Raises ValueError, which names the line."""
    found: dict[str, str] = {}
    for number, ended in enumerate(text.split("\n"), 1):
        line = ended.removesuffix("\r")
        if not line.strip() or line.startswith("#"):
            continue
        name, digest = _parse_bsd(line) if line.startswith(_BSD) else _parse_gnu(line)
        name = name.removeprefix("./")
        if not name or len(digest) != _DIGITS or not _HEXADECIMAL.issuperset(digest):
            raise ValueError(f"line {number} is not a digest and a name")
        if found.setdefault(name, digest) != digest:
            raise ValueError(f"line {number} gives {escaped_prefix(name)} another digest than a line before it")
    return found


def _parse_gnu(line: str) -> tuple[str, str]:
    escaped = line.startswith("\\")
    digest, blank, name = line.removeprefix("\\").partition(" ")
    if not blank or name[:1] not in (" ", "*"):
        return "", digest
    name = name[1:]
    if escaped:
        name = name.replace("\\\\", "\0").replace("\\n", "\n").replace("\\r", "\r").replace("\0", "\\")
    return name, digest.lower()


def _parse_bsd(line: str) -> tuple[str, str]:
    name, _, digest = line.removeprefix(_BSD).rpartition(") = ")
    return name, digest.strip().lower()
