"""The forms of the URLs of sinks: what is right behind the host, and what is shown of a path.

A function of the first kind returns True if the path, the query and the fragment are those that a sink can have. The
table of `config.sink_registry` has one for each sink.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote

from sidecars.chassis.config.setting_types import HIDDEN

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"(?:/[\w!.*'()=-]+)*/?", re.ASCII)
_INDEX = re.compile(r"[^A-Z\\/*?\"<>| ,#:+_.-][^A-Z\\/*?\"<>| ,#:]{0,254}")
_NO_BEGIN = ("-", "_", "+", ".")
_TAG = re.compile(r"[\w.-]{1,255}", re.ASCII)
_SUBJECT = re.compile(r"(?![$]|_INBOX\b)[\w$-]+(?:\.[\w$-]+)*", re.ASCII)
_LONGEST_PREFIX = 256  # bytes of what precedes the template of an object's key
_TOPIC = re.compile(r"[a-zA-Z0-9._-]*")
_LONGEST_TOPIC, _LONGEST_VALUE = 249, 63  # characters of a topic, and of a field's value in it
BATCH_KEY = "{batch_key}"
"""The field of a URL of `http` that each request replaces."""


def anything(parts: SplitResult) -> bool:
    """Any path and query. Raises ValueError for a field in it, which no such sink would replace."""
    _refuse_fields(parts.path + parts.query)
    return True


def with_batch_key(parts: SplitResult) -> bool:
    """Any path and query, with the one field that `http` replaces. Raises ValueError for another."""
    _refuse_fields(f"{parts.path}{parts.query}".replace(BATCH_KEY, ""), f" other than {BATCH_KEY}")
    return True


def _refuse_fields(text: str, other: str = "") -> None:
    if "{" in text or "}" in text:
        raise ValueError(f"expected a URL without fields in braces{other}: they would be sent as they are")


def nothing(parts: SplitResult) -> bool:
    """No address at all."""
    return parts.geturl() in ("stdout:", "stdout://")


def directory(parts: SplitResult) -> bool:
    """An absolute path."""
    return not parts.netloc and parts.path.startswith("/") and not (parts.query or parts.fragment)


def index(parts: SplitResult) -> bool:
    """An index, or a template of names, behind any prefix."""
    before = parts.path.rpartition("/")[0]
    _refuse_fields(before + parts.query, " but in the index")
    index = index_of(parts.path)
    if "{" not in index and "%" not in index:
        return bool(_INDEX.fullmatch(index)) and not parts.fragment
    from sidecars.logshipper.transform.parsing import name_templates  # noqa: PLC0415 - few indexes are templates

    texts = [part for part in name_templates.parse(index) if isinstance(part, str)]
    return bool(_INDEX.fullmatch("i".join(["", *texts, ""])) and not index.startswith(_NO_BEGIN)) and not parts.fragment


def index_of(path: str) -> str:
    """Return the name of the index, or the template of names, in the path of a URL: its last segment."""
    return unquote(path.rpartition("/")[2])


def tag(parts: SplitResult) -> bool:
    """A tag of `forward`, or nothing."""
    tag = parts.path.removeprefix("/")
    return (not tag or bool(_TAG.fullmatch(tag))) and not (parts.query or parts.fragment)


def prefix(parts: SplitResult) -> bool:
    """A path alone."""
    _refuse_fields(parts.path)
    return not (parts.query or parts.fragment)


def bucket(parts: SplitResult) -> bool:
    """A bucket with a prefix of keys."""
    has_dots = {".", ".."}.intersection(parts.path.split("/"))
    is_bucket = bool(_BUCKET.fullmatch(parts.netloc) and _PREFIX.fullmatch(parts.path)) and not has_dots
    return is_bucket and len(parts.path) <= _LONGEST_PREFIX and not (parts.query or parts.fragment)


def subject(parts: SplitResult) -> bool:
    """A subject of NATS."""
    return bool(_SUBJECT.fullmatch(parts.path.removeprefix("/"))) and not (parts.query or parts.fragment)


def topic(parts: SplitResult) -> bool:
    """A topic of Kafka, or a template of topics."""
    from sidecars.logshipper.transform.parsing import name_templates  # noqa: PLC0415 - loaded only where it is used

    raw = parts.path.removeprefix("/")
    try:
        template = name_templates.parse(raw)
    except ValueError:
        return False
    fixed = [part for part in template if isinstance(part, str)]
    is_long = name_templates.longest(template, _LONGEST_VALUE) > _LONGEST_TOPIC
    is_topic = bool(template) and raw not in (".", "..") and all(map(_TOPIC.fullmatch, fixed))
    return is_topic and not is_long and not (parts.query or parts.fragment)


def host(parts: SplitResult) -> bool:
    """Nothing but the host."""
    return parts.path in ("", "/") and not (parts.query or parts.fragment)


def all_of_it(path: str) -> str:
    """Show the path of a local directory, or a tag."""
    return path


def index_only(path: str) -> str:
    """Show the name of the index, which is the last segment."""
    before, _, index = path.rpartition("/")
    return f"/{HIDDEN}/{index}" if before else f"/{index}"
