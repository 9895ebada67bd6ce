"""The settings of the sink `kafka`."""

from __future__ import annotations

import re

from sidecars.chassis.config.setting_types import SettingType, boolean, choice
from sidecars.chassis.config.settings import setting
from sidecars.chassis.runtime.light_dataclasses import dataclass

GENERATION, NO_KEY = "generation", "none"
"""Values of `SINK_MESSAGE_KEY` that are no templates."""

_ID = re.compile(r"[a-zA-Z0-9._-]{1,249}")
WITH_PASSWORD = ("plain", "scram-sha-256", "scram-sha-512")
"""Values of `SINK_SASL` that need a user and a password."""


def _parse_key(raw: str) -> str:
    if raw not in (GENERATION, NO_KEY):
        from sidecars.logshipper.transform.parsing import name_templates  # noqa: PLC0415 - few sinks need it

        if "{" not in raw:
            raise ValueError("expected generation, none, or a template with fields, such as {user.id}")
        name_templates.parse(raw)
    return raw


def _parse_id(raw: str) -> str:
    if not _ID.fullmatch(raw):
        raise ValueError("expected letters, digits, dots, underscores and hyphens, 249 at most")
    return raw


_message_key = SettingType("generation · none · template", _parse_key)
_transactional_id = SettingType("text", _parse_id)


@dataclass(frozen=True, kw_only=True)
class KafkaSettings:
    """The part of `SinkSettings` for Kafka."""

    sink_transactions: bool = setting(
        boolean,
        "for `kafka`: commit each batch in a transaction that also notes its key, so that every line is there exactly "
        "once for readers with `isolation.level=read_committed`, also after kill -9; `false`: repeats are dropped only "
        "while the process lives",
        default="true",
        heading="Sinks: Kafka",
    )
    sink_transactional_id: str | None = setting(
        _transactional_id,
        "for `kafka`: the transactional id, and the group that notes the batches: no other process may have it; unset: "
        "`logshipper-<namespace>-<pod>-<sink>-<8 digits>`, which stays with the state directory",
        default="",
    )
    sink_acks: str = setting(
        choice("all", "1"),
        "for `kafka`: `all` replicas that are in sync have a record before it counts as accepted, or the leader alone "
        "(`1`), which loses lines if it fails",
        default="all",
    )
    sink_message_key: str = setting(
        _message_key,
        "for `kafka`: the key of a record: the file's `generation`, so that its lines are in one partition and in "
        "their order, `none`, or a template such as `{user.id}`",
        default=GENERATION,
    )
    sink_sasl: str | None = setting(
        choice(*WITH_PASSWORD, "oauthbearer", "aws-msk-iam"),
        "for `kafka`: the SASL mechanism: by `SINK_USERNAME` and `SINK_PASSWORD`, by a token (`SINK_TOKEN`, or "
        "from `SINK_OAUTH_TOKEN_URL`), or by AWS credentials",
        default="",
    )
