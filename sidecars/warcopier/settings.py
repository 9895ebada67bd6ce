"""What warcopier can be told."""

from __future__ import annotations

from sidecars.chassis.config.setting_types import (
    Address,
    SettingType,
    address,
    boolean,
    choice,
    comma_separated,
    duration,
    integer,
    size,
    text,
)
from sidecars.chassis.config.settings import ServiceSettings, setting
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass
from sidecars.warcopier import tomcat_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import ClassVar

    Owner = tuple[int, int]

_HEXADECIMAL = frozenset("0123456789abcdef")
_SHA256_DIGITS = 64
_MODE_DIGITS = (3, 4)
_HIGHEST_ID = 2**32 - 2  # the last number means "nobody in particular" to the kernel


def _parse_sha256(raw: str) -> str:
    digest = raw.strip().lower().removeprefix("sha256:")
    if len(digest) != _SHA256_DIGITS or not _HEXADECIMAL.issuperset(digest):
        raise ValueError("expected the 64 hexadecimal digits of a SHA-256")
    return digest


def _parse_mode(raw: str) -> int:
    if len(raw) not in _MODE_DIGITS or not frozenset("01234567").issuperset(raw):
        raise ValueError("expected an octal mode, such as 0644")
    mode = int(raw, 8)
    if not mode & 0o400 or mode & 0o7000:
        raise ValueError("expected a mode of at least 0400 and at most 0777")
    return mode


def _parse_owner(raw: str) -> Owner:
    user, colon, group = raw.partition(":")
    numbers = [int(part) if part.isascii() and part.isdigit() else -1 for part in (user, group)]
    if not colon or not all(0 <= number <= _HIGHEST_ID for number in numbers):
        raise ValueError("expected uid:gid in numbers, such as 1000:1000")
    return numbers[0], numbers[1]


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    PREFIX: ClassVar[str] = "WARCOPIER"

    source: tuple[str, ...] = setting(
        comma_separated(text),
        "what to publish: files, directories (the `*.war` in them) or globs",
        default="/artifacts",
    )
    target: str = setting(
        SettingType("path", str),  # text: pathlib would be loaded for this alone, at every start
        "the directory to publish into, such as Tomcat's `webapps`",
        default="/webapps",
    )
    context_path: str | None = setting(
        SettingType("path", tomcat_names.parse_context_path),
        "where Tomcat is to serve the one WAR: `/` is `ROOT.war`, `/shop/admin` is `shop#admin.war`;"
        " unset, the name of the file says it",
        default="",
    )
    version: str | None = setting(
        SettingType("text", tomcat_names.parse_version),
        "the version for Tomcat's parallel deployment: `shop##<version>.war`. Tomcat sorts versions as text (`10`"
        " before `9`): write zeros in front",
        default="",
    )
    allow_older: bool = setting(
        boolean,
        "publish a version although Tomcat would sort it before one that is there, and so go on serving the other",
        default="false",
    )
    sha256: str | None = setting(
        SettingType("SHA-256", _parse_sha256),
        "the digest that the one WAR must have; unset, a `SHA256SUMS` beside the source is heeded where there is one",
        default="",
    )
    require_sha256: bool = setting(boolean, "refuse a WAR for which neither of the two gives a digest", default="false")
    digest: bool = setting(
        boolean,
        "take the SHA-256 of source and copy and compare them. `false` saves the time; a digest that is expected is"
        " still checked",
        default="true",
    )
    unpack: bool = setting(
        boolean, "publish the unpacked directory, in one step, instead of the archive", default="false"
    )
    validate: str = setting(
        choice("war", "zip", "none"),
        "what is checked before anything is published: `zip` is the structure and every checksum, `war` also refuses"
        " unsafe names and files of one name",
        default="war",
    )
    max_unpacked_size: int = setting(
        size(minimum="1"), "the most bytes that one WAR may unpack to (not with `none`)", default="2GiB"
    )
    max_entries: int = setting(
        integer(minimum=1), "the most entries that one WAR may have (not with `none`)", default="100000"
    )
    max_ratio: int = setting(
        integer(minimum=1),
        "how many times its own size one WAR may unpack to (not with `none`)",
        default="200",
    )
    mode: int = setting(
        SettingType("octal mode", _parse_mode, "{:04o}".format),
        "permissions of what is published; a directory can be entered by all who can read it, and written by its owner",
        default="0644",
    )
    owner: Owner | None = setting(
        SettingType("uid:gid", _parse_owner, lambda owner: f"{owner[0]}:{owner[1]}"),
        "who is to own what is published; without root only another group of the user's own is possible",
        default="",
    )
    overwrite: str = setting(
        choice("if-changed", "always", "never"),
        "what to do about a WAR that is there: `if-changed` replaces one that differs, `always` makes Tomcat redeploy"
        " in any case, `never` leaves it as it is",
        default="if-changed",
    )
    prune: bool = setting(
        boolean,
        "remove what an earlier run published and the source no longer has; never anything else",
        default="false",
    )
    reserve: int = setting(size(), "free space to leave on the target", default="16MiB")
    watch: bool = setting(
        boolean, "stay, as a native sidecar, and publish again whenever the source changes", default="false"
    )
    watch_interval: float = setting(
        duration("100ms", "1h"),
        "how often to look, even where the file system reports no change (network file systems, remounts)",
        default="10s",
    )
    admin_listen: Address = setting(
        address,
        "where `/livez`, `/readyz`, `/metrics` and `/status` answer, with `WARCOPIER_WATCH`",
        default=":9911",
    )

    def admin_address(self) -> Address:
        return self.admin_listen if self.watch else Address()

    def check(self) -> Iterator[str]:
        if self.unpack and self.validate != "war":
            yield f"WARCOPIER_UNPACK=true and WARCOPIER_VALIDATE={self.validate}: only what passes war is unpacked"
        if self.unpack and not self.digest:
            yield "WARCOPIER_UNPACK=true and WARCOPIER_DIGEST=false: only a digest tells what was unpacked; keep one"
        if self.require_sha256 and not self.digest:
            yield "WARCOPIER_REQUIRE_SHA256=true and WARCOPIER_DIGEST=false: keep one"
