"""The SHA-256 that each source must have: WARCOPIER_SHA256, or its line in a `SHA256SUMS` beside the source."""

from __future__ import annotations

import os

from sidecars.chassis.runtime.lifecycle import BadData
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier.source.opening import read_beside
from sidecars.warcopier.tomcat_names import escaped

if TYPE_CHECKING:
    from sidecars.warcopier.artifacts import Source
    from sidecars.warcopier.settings import Settings

_FILE = "SHA256SUMS"
_MAX_BYTES = 1 << 20  # of that file
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors and shells of Windows begin UTF-8 with it


class ExpectedDigests:
    """The expected digests of the sources of one run. Each `SHA256SUMS` is read once."""

    def __init__(self, settings: Settings) -> None:
        self._sha256 = settings.sha256
        self._required = settings.require_sha256
        self._by_file: dict[str, dict[str, str]] = {}

    def of(self, source: Source) -> str:
        """Return the expected digest of a source; "" if there is none and none is required.

        Raises BadData if there is none although WARCOPIER_REQUIRE_SHA256 is set, or if the `SHA256SUMS` is not valid;
        IOFailed if it cannot be read.
        """
        if self._sha256:
            return self._sha256
        path = sums_path(source)
        if path not in self._by_file:
            self._by_file[path] = _read_sums(source, path)
        found = self._by_file[path].get(os.path.basename(source.path), "")  # noqa: PTH119 - paths are text throughout
        if self._required and not found:
            raise BadData(
                f"{escaped(source.path)}: WARCOPIER_REQUIRE_SHA256=true, and neither WARCOPIER_SHA256 nor a line of"
                f" {escaped(path)} gives its digest; nothing was published",
                code="digest-missing",
            )
        return found


def sums_path(source: Source) -> str:
    """Return the path of the `SHA256SUMS` beside a source. The file may not exist."""
    return os.path.join(os.path.dirname(source.path), _FILE)  # noqa: PTH118, PTH120 - paths are text throughout


def require_digest(source: Source, sha256: str, expected: str) -> None:
    """Raise BadData if the digest of the source is not the expected one. `expected` "" means that there is none."""
    if expected and sha256 != expected:
        raise BadData(
            f"{escaped(source.path)}: its SHA-256 is {sha256}, and {expected} was expected; nothing was published",
            code="digest-differs",
        )


def _read_sums(source: Source, path: str) -> dict[str, str]:
    try:
        raw = read_beside(source, _FILE, _MAX_BYTES)
    except FileNotFoundError:
        return {}
    from sidecars.warcopier.source import sha256sums  # noqa: PLC0415 - most sources have no such file

    try:
        return sha256sums.parse(raw.removeprefix(_BYTE_ORDER_MARK).decode(errors="surrogateescape"))
    except ValueError as error:
        raise BadData(f"{escaped(path)}: {error}; nothing was published", code="digests-file-not-valid") from None
