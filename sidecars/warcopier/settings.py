"""What warcopier can be told."""

from __future__ import annotations

from typing import ClassVar

from chassis.frozen import dataclass
from chassis.kinds import Kind, choice, comma_separated, integer, size, text
from chassis.settings import Settings as Common
from chassis.settings import setting


@dataclass(frozen=True, kw_only=True)
class Settings(Common):
    PREFIX: ClassVar[str] = "WARCOPIER"

    source: tuple[str, ...] = setting(
        comma_separated(text),
        "what to publish: files, directories (the `*.war` in them) or globs",
        default="/artifacts",
    )
    target: str = setting(
        Kind("path", str),  # text: pathlib would be loaded for this alone, at every start
        "the directory to publish into, such as Tomcat's `webapps`",
        default="/webapps",
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
