"""The settings of the sink `s3`, and of others that sign their requests as AWS wants it."""

from __future__ import annotations

import re

from sidecars.chassis.config.setting_types import Secret, SettingType, boolean, choice, secret, text
from sidecars.chassis.config.settings import setting
from sidecars.chassis.config.urls import Url, url
from sidecars.chassis.runtime.light_dataclasses import dataclass
from sidecars.logshipper.config import header_pairs

DEFAULT_OBJECT_KEY = "{namespace}/{pod}/%Y/%m/%d/%H/"
LONGEST_KEY = 1024
"""Bytes of an object's key, at most."""
LONGEST_TAIL = 160
"""Bytes of what follows the template in a key, and of a partition's name."""

_WORD = re.compile(r"[\w-]{1,64}", re.ASCII)
_TAG = re.compile(r"[\w\s+=.:/@-]{1,256}")
_MOST_TAGS = 10


def _parse_word(raw: str) -> str:
    if not _WORD.fullmatch(raw):
        raise ValueError("expected a word, such as STANDARD_IA or bucket-owner-full-control")
    return raw


def _parse_tags(raw: str) -> dict[str, str]:
    tags = dict(header_pairs.parse_pairs(raw))
    if len(tags) > _MOST_TAGS or not all(
        _TAG.fullmatch(name) and _TAG.fullmatch(value) for name, value in tags.items()
    ):
        raise ValueError(f"expected at most {_MOST_TAGS} tags, such as team=shop,env=prod")
    return tags


def _parse_object_key(raw: str) -> str:
    if raw == DEFAULT_OBJECT_KEY:
        return raw  # of each sink that is no object store, too
    from sidecars.logshipper.transform.parsing import name_templates  # noqa: PLC0415 - loaded only where it is set

    parts = name_templates.parse(raw)
    if any(isinstance(part, name_templates.Field) and part.name == name_templates.BATCH_KEY for part in parts):
        raise ValueError("expected a template without {batch_key}: the key's end has it already")
    if raw.startswith("/") or {".", ".."}.intersection(raw.split("/")):
        raise ValueError("expected a template that begins with no slash, and has neither . nor .. between slashes")
    if name_templates.longest(parts, 63) > LONGEST_KEY - LONGEST_TAIL:
        raise ValueError(f"expected a template of keys of {LONGEST_KEY - LONGEST_TAIL} bytes at most")
    return raw


word = SettingType(text.name, _parse_word)
tags = SettingType("name=value, …", _parse_tags, header_pairs.show_pairs)
object_key = SettingType("template", _parse_object_key)


@dataclass(frozen=True, kw_only=True)
class S3Settings:
    """The part of `SinkSettings` for object stores."""

    sink_region: str | None = setting(
        text,
        "the AWS region of the receiver; unset: `AWS_REGION` or `AWS_DEFAULT_REGION`",
        default="",
        heading="Sinks: S3",
    )
    sink_endpoint: Url | None = setting(
        url("http", "https"),
        "for `s3`: address of a compatible store, such as `https://minio:9000`; unset: AWS",
        default="",
    )
    sink_object_key: str = setting(
        object_key,
        "for `s3`: template of the beginning of an object's key, with `{field}` and times of strftime(3); the end is "
        "fixed: it makes a batch that is sent again the same object",
        default=DEFAULT_OBJECT_KEY,
    )
    sink_path_style: bool | None = setting(
        boolean,
        "for `s3`: the bucket is in the path (`true`) or in the host name (`false`); unset: in the path if "
        "`SINK_ENDPOINT` is set or the bucket's name has dots",
        default="",
    )
    sink_content_encoding: bool = setting(
        boolean,
        "for `s3`: name the compression in `Content-Encoding`, so that clients unpack an object by themselves; else "
        "its `Content-Type` is that of the compressed file",
        default="false",
    )
    sink_checksum: str = setting(
        choice("auto", "sha256", "none"),
        "for `s3`: `x-amz-checksum-sha256` of each object; `auto` leaves it out if the store does not know it; the "
        "signature has the body's hash in any case",
        default="auto",
    )
    sink_sse: str | None = setting(
        choice("AES256", "aws:kms", "aws:kms:dsse"),
        "for `s3`: encryption at rest; unset: that of the bucket",
        default="",
    )
    sink_sse_kms_key_id: str | None = setting(
        text, "for `s3` with `SINK_SSE=aws:kms`: the key; unset: the account's own", default=""
    )
    sink_storage_class: str | None = setting(
        word, "for `s3`: storage class of the objects, such as `STANDARD_IA`; unset: that of the bucket", default=""
    )
    sink_tags: dict[str, str] | None = setting(
        tags, "for `s3`: tags of the objects, such as `team=shop,env=prod`", default=""
    )
    sink_acl: str | None = setting(
        word, "for `s3`: canned ACL of the objects; new buckets of AWS refuse any", default=""
    )
    sink_session_token: Secret | None = setting(
        secret, "session token of the keys in `SINK_USERNAME` and `SINK_PASSWORD`, if they are temporary", default=""
    )
