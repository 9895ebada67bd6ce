"""The settings of the warcopier."""

from __future__ import annotations

from sidecars.chassis.config.declared_fields import again, one_of, that
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
from sidecars.chassis.isolation import roots
from sidecars.chassis.isolation.roots import DeclaredRoot
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass
from sidecars.warcopier import tomcat_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import ClassVar

    Owner = tuple[int, int]

_HEXADECIMAL = frozenset("0123456789abcdef")
_SHA256_DIGITS = 64
_MODE_DIGITS = (3, 4)
_HIGHEST_ID = 2**32 - 2  # the last number means "unchanged" to chown(2)


_WATCH = that(lambda settings: settings.watch, "{watch} is false, so the process ends after one run: set {watch}=true")
_CHECKED = one_of("validate", "war", "zip")


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


def _target_roots(path: str) -> Iterable[DeclaredRoot]:
    return (DeclaredRoot(path, roots.MOVE),)


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """The validated settings of one process."""

    PREFIX: ClassVar[str] = "WARCOPIER"

    source: tuple[str, ...] = setting(
        comma_separated(SettingType(text.name, str, roots=lambda part: roots.to_read(roots.glob_base(part)))),
        "WARs to publish: files, directories (the `*.war` in them) or globs",
        default="/artifacts",
        heading="Source and target",
    )
    target: str = setting(
        SettingType("path", str, roots=_target_roots),  # text: pathlib would be loaded at every start for this alone
        "directory to publish into, such as Tomcat's `webapps`",
        default="/webapps",
    )
    context_path: str | None = setting(
        SettingType("path", tomcat_names.parse_context_path),
        "context path of the one WAR: `/` publishes it as `ROOT.war`, `/shop/admin` as `shop#admin.war`. Unset: the"
        " context path in the file's name",
        default="",
    )
    version: str | None = setting(
        SettingType("text", tomcat_names.parse_version),
        "version for Tomcat's parallel deployment: `shop##<version>.war`. Tomcat sorts versions as text (`10` before"
        " `9`), so write leading zeros",
        default="",
    )
    allow_older: bool = setting(
        boolean,
        "publish a version even if Tomcat sorts it before one in the target, and so goes on serving that one",
        default="false",
    )
    sha256: str | None = setting(
        SettingType("SHA-256", _parse_sha256),
        "digest that the one WAR must have. Unset: its digest in a `SHA256SUMS` beside the source, if there is one",
        default="",
        heading="Checksums",
    )
    require_sha256: bool = setting(
        boolean, "refuse a WAR without a digest in `WARCOPIER_SHA256` or `SHA256SUMS`", default="false"
    )
    digest: bool = setting(
        boolean,
        "compare the SHA-256 of the source and of the copy. `false` saves time; an expected digest is still checked",
        default="true",
    )
    unpack: bool = setting(
        boolean, "publish the exploded directory, in one step, instead of the WAR", default="false", heading="Archives"
    )
    validate: str = setting(
        choice("war", "zip", "none"),
        "check before anything is published: `zip` verifies the structure and every checksum, `war` also refuses unsafe"
        " names and two files with one name, `none` checks nothing",
        default="war",
    )
    max_unpacked_size: int = setting(
        size(minimum="1"),
        "the most bytes that one WAR may unpack to (not with `WARCOPIER_VALIDATE=none`)",
        default="2GiB",
        needs=(_CHECKED,),
    )
    max_entries: int = setting(
        integer(minimum=1),
        "the most entries that one WAR may have (not with `WARCOPIER_VALIDATE=none`)",
        default="100000",
        needs=(_CHECKED,),
    )
    max_ratio: int = setting(
        integer(minimum=1),
        "the most bytes that one WAR may unpack to for each byte of its own (not with `WARCOPIER_VALIDATE=none`)",
        default="200",
        needs=(_CHECKED,),
    )
    mode: int = setting(
        SettingType("octal mode", _parse_mode, "{:04o}".format),
        "permissions of published files. A directory can also be searched by everybody who can read it, and written by"
        " its owner",
        default="0644",
        heading="Files on the target",
    )
    owner: Owner | None = setting(
        SettingType("uid:gid", _parse_owner, lambda owner: f"{owner[0]}:{owner[1]}"),
        "user and group of published files. Without root only another group of the process's user is possible",
        default="",
    )
    overwrite: str = setting(
        choice("if-changed", "always", "never"),
        "treatment of a WAR that is in the target already: `if-changed` replaces it if it differs, `always` replaces it"
        " in any case, so that Tomcat redeploys, `never` keeps it",
        default="if-changed",
    )
    prune: bool = setting(
        boolean,
        "remove artifacts that an earlier run published and the source no longer has, and nothing else",
        default="false",
    )
    reserve: int = setting(size(), "bytes that must stay free on the target", default="16MiB")
    watch: bool = setting(
        boolean,
        "stay as a native sidecar, and publish again whenever the source changes",
        default="false",
        heading="Watch",
    )
    watch_interval: float = setting(
        duration("100ms", "1h"),
        "the longest time between two looks at the source, for file systems that report no changes (network file"
        " systems, remounts)",
        default="10s",
        needs=(_WATCH,),
    )
    admin_listen: Address = setting(
        address,
        "address of the page, `/livez`, `/readyz`, `/metrics` and `/status`, used only with `WARCOPIER_WATCH=true`",
        default=":9911",
        needs=(_WATCH,),
    )

    admin_status: str = again(ServiceSettings, "admin_status", needs=(_WATCH,))
    admin_siblings: dict[str, int] | None = again(ServiceSettings, "admin_siblings", needs=(_WATCH,))
    drain_timeout: float = again(ServiceSettings, "drain_timeout", needs=(_WATCH,))

    def admin_address(self) -> Address:
        return self.admin_listen if self.watch else Address()

    def summary(self) -> str:
        form = "unpacked WARs" if self.unpack else "WARs"
        then = "again whenever they change" if self.watch else "then ends"
        return f"publishes the {form} of {', '.join(self.source)} in {self.target}, and {then}"

    def further_roots(self) -> Iterator[DeclaredRoot]:
        """Yield where the kernel tells the container's memory limit, which is that of a target in memory."""
        yield DeclaredRoot("/sys/fs/cgroup", roots.READ)

    def check(self) -> Iterator[str]:
        if self.unpack and self.validate != "war":
            unpack = "WARCOPIER_UNPACK=true and WARCOPIER_VALIDATE"
            yield f"{unpack}={self.validate}: only an archive that passes the check war is unpacked"
        if self.unpack and not self.digest:
            yield "WARCOPIER_UNPACK=true and WARCOPIER_DIGEST=false: only digests identify unpacked archives; keep one"
        if self.require_sha256 and not self.digest:
            yield "WARCOPIER_REQUIRE_SHA256=true and WARCOPIER_DIGEST=false: keep one"
