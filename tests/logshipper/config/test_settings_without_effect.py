"""Each setting has an effect alone, or its start is refused with what it needs."""

from __future__ import annotations

import pytest

from sidecars.chassis.config.effective_settings import effective
from sidecars.chassis.config.settings import SettingsError, load, specs
from sidecars.logshipper.settings import Settings

OAUTH = {"SINK_AUTH": "oauth2", "SINK_OAUTH_TOKEN_URL": "https://login/token", "SINK_USERNAME": "me"}
CLIENT = {**OAUTH, "SINK_PASSWORD": "s"}
KEY = {**OAUTH, "SINK_OAUTH_CLIENT": "private_key_jwt", "SINK_OAUTH_KEY": "/key.pem"}
AWS = {"SINK_AUTH": "aws", "SINK_AWS_SERVICE": "es", "SINK_REGION": "eu-central-1"}
JSON = {"FORMAT": "json"}
S3 = {"SINK": "s3://logs", "SINK_REGION": "eu-central-1"}
KAFKA = {"SINK": "kafka://h/t"}
SPLUNK = {"SINK": "splunk+http://h", "SINK_TOKEN": "t"}
TLS = {"SINK": "https://h/"}

# They have an effect with any input and any sink.
ALONE = (
    *("PATHS", "EXCLUDE", "START_AT", "MAX_LINE_SIZE", "LONG_LINES", "FORMAT", "LABELS", "REDACT", "KEEP", "DROP"),
    *("COMPRESSED", "IGNORE_OLDER", "SINK", "BATCH_SIZE", "BATCH_TIMEOUT", "REQUEST_TIMEOUT", "RETRY_MIN", "RETRY_MAX"),
    *("GIVE_UP_AFTER", "INPUTS", "SINK_KEEP", "SINK_DROP", "RETRY_LIMIT", "RETRY_MAX_AGE", "LINK_ROOTS", "STATE_DIR"),
    *("SCAN_INTERVAL", "ROTATE_WAIT", "DELETE_DELIVERED", "DRAIN_QUIET", "DONE_FILE", "EXIT_WHEN_IDLE", "TAIL_LISTEN"),
    *("MAX_OPEN_FILES", "CLOSE_INACTIVE", "MAX_HELD", "LOG_LEVEL", "LOG_FORMAT", "CONFINEMENT", "ADMIN_LISTEN"),
    "DRAIN_TIMEOUT",
)

# They have an effect with a sink `http`, and none with `stdout`, which the sentence names.
OF_HTTP = {
    "SINK_TOKEN": "t",
    "SINK_HEADERS": "X-A=b",
    "SINK_AUTH": "gcp",
    "SINK_METHOD": "PUT",
    "SINK_ENCODING": "json",
    "SINK_CONTENT_TYPE": "application/json",
    "SINK_PROXY": "http://proxy:3128",
    "COMPRESSION": "gzip",
    "IN_FLIGHT": "3",
    "ON_REJECT": "/dead",
    "ISOLATE_AFTER": "3",
    "READ_AT": "true",
}

# They have no effect with `http` and the format `raw`: the value, what the sentence names, and what helps.
NEEDING: dict[str, tuple[str, str, dict[str, str]]] = {
    "REGEX": ("(?P<a>.*)", "LOGSHIPPER_FORMAT=raw", {"FORMAT": "regex"}),
    "TIME_KEY": ("t", "LOGSHIPPER_FORMAT=raw", JSON),
    "TIME_FORMAT": ("unix", "LOGSHIPPER_TIME_KEY", {**JSON, "TIME_KEY": "t"}),
    "TIME_ZONE": ("+02:00", "LOGSHIPPER_TIME_KEY", {**JSON, "TIME_KEY": "t"}),
    "LEVEL_KEY": ("lvl", "LOGSHIPPER_FORMAT=raw", JSON),
    "MESSAGE_KEY": ("msg", "LOGSHIPPER_FORMAT=raw", JSON),
    "MULTILINE_TIMEOUT": ("5s", "LOGSHIPPER_MULTILINE", {"MULTILINE": "java"}),
    "PATH_FIELDS": ("/var/{app}/*.log", "LOGSHIPPER_PATHS", {"PATHS": "/var/*/*.log"}),
    "FAIR_BY": ("app", "LOGSHIPPER_PATH_FIELDS", {"PATH_FIELDS": "/var/{app}/*.log", "PATHS": "/var/*/*.log"}),
    "SAMPLE_KEY": ("a", "LOGSHIPPER_FORMAT=raw", {**JSON, "SAMPLE": "10"}),
    "SAMPLE_EXCEPT": ("x", "LOGSHIPPER_SAMPLE", {"SAMPLE": "10"}),
    "RATE_BURST": ("5", "LOGSHIPPER_RATE_LIMIT", {"RATE_LIMIT": "5/s"}),
    "RATE_LIMIT_KEY": ("file", "LOGSHIPPER_RATE_LIMIT", {"RATE_LIMIT": "5/s"}),
    "RATE_EXCESS": ("drop", "LOGSHIPPER_RATE_LIMIT", {"RATE_LIMIT": "5/s"}),
    "RENAME": ("a:b", "LOGSHIPPER_FORMAT=raw", JSON),
    "COPY": ("a:b", "LOGSHIPPER_FORMAT=raw", JSON),
    "REMOVE": ("a", "LOGSHIPPER_FORMAT=raw", JSON),
    "FLATTEN": ("true", "LOGSHIPPER_FORMAT=raw", JSON),
    "SINK_CA": ("/ca.pem", "http:", TLS),
    "SINK_CERT": ("/cert.pem", "http:", TLS),
    "SINK_KEY": ("/key.pem", "http:", {**TLS, "SINK_CERT": "/cert.pem"}),
    "SINK_ROTATE_SIZE": ("1MiB", "http:", {"SINK": "file:///out"}),
    "SINK_ROTATE_COUNT": ("3", "http:", {"SINK": "file:///out", "SINK_ROTATE_SIZE": "1MiB"}),
    "SINK_ACK": ("required", "http:", SPLUNK),
    "SINK_INDEX": ("main", "http:", SPLUNK),
    "SINK_SOURCETYPE": ("log4j", "http:", SPLUNK),
    "SINK_MAX_MESSAGE": ("64KiB", "http:", {"SINK": "relp://h"}),
    "SINK_BULK": ("true", "http:", {"SINK": "gelf+http://h"}),
    "SINK_LABELS": ("level", "http:", {"SINK": "loki+http://h"}),
    "SINK_TRANSACTIONS": ("false", "http:", KAFKA),
    "SINK_TRANSACTIONAL_ID": ("shop-1", "http:", KAFKA),
    "SINK_ACKS": ("1", "http:", {**KAFKA, "SINK_TRANSACTIONS": "false"}),
    "SINK_MESSAGE_KEY": ("{user}", "http:", KAFKA),
    "SINK_SASL": ("aws-msk-iam", "http:", {**KAFKA, "SINK_REGION": "eu-central-1"}),
    "SINK_REGION": ("eu-central-1", "LOGSHIPPER_SINK_AUTH", AWS),
    "SINK_AWS_SERVICE": ("es", "LOGSHIPPER_SINK_AUTH", AWS),
    "SINK_ENDPOINT": ("https://minio:9000", "http:", S3),
    "SINK_OBJECT_KEY": ("%Y/", "http:", S3),
    "SINK_PATH_STYLE": ("true", "http:", S3),
    "SINK_CONTENT_ENCODING": ("true", "http:", S3),
    "SINK_CHECKSUM": ("sha256", "http:", S3),
    "SINK_SSE": ("aws:kms", "http:", S3),
    "SINK_SSE_KMS_KEY_ID": ("alias/logs", "http:", {**S3, "SINK_SSE": "aws:kms"}),
    "SINK_STORAGE_CLASS": ("STANDARD_IA", "http:", S3),
    "SINK_TAGS": ("team=shop", "http:", S3),
    "SINK_ACL": ("private", "http:", S3),
    "SINK_SESSION_TOKEN": ("t", "http:", {**S3, "SINK_USERNAME": "me", "SINK_PASSWORD": "s"}),
    "SINK_OAUTH_TOKEN_URL": ("https://login/token", "LOGSHIPPER_SINK_AUTH", CLIENT),
    "SINK_OAUTH_SCOPE": ("logs", "LOGSHIPPER_SINK_AUTH", CLIENT),
    "SINK_OAUTH_CLIENT": ("post", "LOGSHIPPER_SINK_AUTH", CLIENT),
    "SINK_OAUTH_KEY": ("/key.pem", "LOGSHIPPER_SINK_AUTH", KEY),
    "SINK_OAUTH_KEY_ID": ("one", "LOGSHIPPER_SINK_AUTH", KEY),
    "SINK_OAUTH_KEY_AUDIENCE": ("https://login", "LOGSHIPPER_SINK_AUTH", KEY),
    "TAIL_TOKEN": ("t", "LOGSHIPPER_TAIL_LISTEN", {"TAIL_LISTEN": "127.0.0.1:9999"}),
}

# They lose their effect by the value of another setting, or by a sink that does nothing with them.
RECORD = {"FORMAT": "record"}
DEFEATED = [
    ("MULTILINE", "java", JSON, "LOGSHIPPER_FORMAT=json"),
    ("ENCODING", "utf-16le", RECORD, "LOGSHIPPER_FORMAT=record"),
    ("ADD", "a=b", RECORD, "LOGSHIPPER_FORMAT=record"),
    ("SAMPLE", "10", RECORD, "LOGSHIPPER_FORMAT=record"),
    ("COUNT", "errors=/ERROR/", RECORD, "LOGSHIPPER_FORMAT=record"),
    ("RATE_LIMIT", "5/s", RECORD, "LOGSHIPPER_FORMAT=record"),
    ("PATH_FIELDS", "/var/{app}/*.log", {**RECORD, "PATHS": "/var/*/*.log"}, "LOGSHIPPER_FORMAT=record"),
    ("TIME_ZONE", "+02:00", {**JSON, "TIME_KEY": "t", "TIME_FORMAT": "unix"}, "LOGSHIPPER_TIME_FORMAT=unix"),
    ("READ_AT", "true", {"SINK_SCHEMA": "otel"}, "no sink of input default has a place"),
    ("SINK_SCHEMA", "ecs", {"SINK_ENCODING": "text"}, "LOGSHIPPER_SINK_ENCODING=text"),
    ("SINK_SCHEMA", "ecs", {"SINK": "relp://h"}, "relp: has no use for it"),
    ("SINK_USERNAME", "me", {"SINK_PASSWORD": "s", "SINK_AUTH": "gcp"}, "LOGSHIPPER_SINK_AUTH=gcp"),
    ("SINK_PASSWORD", "s", {"SINK_USERNAME": "me", "SINK_AUTH": "gcp"}, "LOGSHIPPER_SINK_AUTH=gcp"),
    ("SINK_PASSWORD", "s", {**KAFKA, "SINK_USERNAME": "me"}, "LOGSHIPPER_SINK_SASL is not: which mechanism"),
    ("SINK_USERNAME", "me", {"SINK": "forward://h", "SINK_PASSWORD": "s"}, "LOGSHIPPER_SINK_TOKEN is not"),
    ("SINK_TOKEN", "t", {"SINK_AUTH": "gcp"}, "LOGSHIPPER_SINK_AUTH=gcp"),
    ("SINK_TOKEN", "t", KAFKA, "LOGSHIPPER_SINK_SASL is not: which mechanism do the brokers have?"),
    ("SINK_TOKEN", "t", {**KAFKA, "SINK_SASL": "aws-msk-iam", "SINK_REGION": "x"}, "LOGSHIPPER_SINK_SASL=aws-msk-iam"),
    ("SINK_REGION", "x", KAFKA, "LOGSHIPPER_SINK_SASL is not aws-msk-iam"),
    ("SINK_OAUTH_TOKEN_URL", "https://login/token", KAFKA, "LOGSHIPPER_SINK_SASL is not oauthbearer"),
    ("SINK_OAUTH_CLIENT", "post", KAFKA, "LOGSHIPPER_SINK_OAUTH_TOKEN_URL is not"),
    ("SINK_TRANSACTIONAL_ID", "a", {**KAFKA, "SINK_TRANSACTIONS": "false"}, "LOGSHIPPER_SINK_TRANSACTIONS is false"),
    ("SINK_KEY", "/key.pem", TLS, "LOGSHIPPER_SINK_CERT is not: set both"),
    ("SINK_ROTATE_COUNT", "3", {"SINK": "file:///out"}, "LOGSHIPPER_SINK_ROTATE_SIZE is not: set both"),
    ("SINK_CA", "/ca.pem", {**S3, "SINK_ENDPOINT": "http://minio"}, "LOGSHIPPER_SINK_ENDPOINT is without TLS"),
    ("SINK_SSE_KMS_KEY_ID", "a", S3, "LOGSHIPPER_SINK_SSE is not aws:kms"),
    ("SINK_SESSION_TOKEN", "t", S3, "LOGSHIPPER_SINK_USERNAME is not: set both"),
    ("SINK_CONTENT_ENCODING", "true", {**S3, "COMPRESSION": "none"}, "LOGSHIPPER_COMPRESSION is none"),
    ("ADMIN_STATUS", "any", {"ADMIN_LISTEN": "off"}, "LOGSHIPPER_ADMIN_LISTEN is off"),
    ("ADMIN_SIBLINGS", "adapter=1", {"ADMIN_LISTEN": "off"}, "LOGSHIPPER_ADMIN_LISTEN is off"),
]


def environment(**settings: str) -> dict[str, str]:
    whole = settings if "A_SINK" in settings else {"PATHS": "/logs/*.log", "SINK": "http://h/", **settings}
    return {f"LOGSHIPPER_{name}": value for name, value in whole.items()}


def problems(**settings: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Settings, environment(**settings))
    return caught.value.problems


def told_of(name: str, found: list[str]) -> str:
    """Return the sentence about the setting. What contradicts another setting, too, has a second one."""
    (sentence,) = (one for one in found if one.startswith(f"LOGSHIPPER_{name} is set, but "))
    return sentence


def test_each_setting_is_in_one_of_the_tables() -> None:
    declared = [spec.variable.removeprefix("LOGSHIPPER_") for spec in specs(Settings) if spec.variable[:4] == "LOGS"]
    once = [*ALONE, *OF_HTTP, *NEEDING]
    assert sorted([*once, *{name for name, *_ in DEFEATED} - {*once}]) == sorted(declared)


def test_each_setting_that_declares_a_need_is_in_a_table_that_has_a_case_for_it() -> None:
    declared = {spec.variable.removeprefix("LOGSHIPPER_") for spec in specs(Settings) if spec.needs}
    assert declared == {*OF_HTTP, *NEEDING, *(name for name, *_ in DEFEATED)}


@pytest.mark.parametrize(("name", "value"), OF_HTTP.items())
def test_a_setting_of_requests_is_refused_where_there_are_none(name: str, value: str) -> None:
    load(Settings, environment(**{name: value}))
    told = told_of(name, problems(SINK="stdout:", **{name: value}))
    assert "stdout: " in told or name == "READ_AT"


@pytest.mark.parametrize(("name", "value", "needed", "cure"), [(name, *rest) for name, rest in NEEDING.items()])
def test_a_setting_without_what_it_needs_is_refused_and_the_sentence_names_that(
    name: str, value: str, needed: str, cure: dict[str, str]
) -> None:
    assert needed in told_of(name, problems(**{name: value}))
    load(Settings, environment(**{**cure, name: value}))


@pytest.mark.parametrize(("name", "value", "others", "why"), DEFEATED)
def test_a_setting_that_another_one_defeats_is_refused(name: str, value: str, others: dict[str, str], why: str) -> None:
    assert why in told_of(name, problems(**others, **{name: value}))


def test_a_default_for_all_sinks_is_in_force_where_it_has_an_effect_and_nowhere_else() -> None:
    environ = environment(
        PATHS="/logs/*.log",
        A_SINK="http://h/",
        B_SINK="http://other/",
        B_SINK_AUTH="bearer",
        B_SINK_TOKEN="t",
        C_SINK="stdout:",
        SINK_USERNAME="me",
        SINK_PASSWORD="s",
        COMPRESSION="gzip",
    )
    settings = load(Settings, environ)
    a, b, c = (settings.sinks[name] for name in "abc")
    assert (a.sink_username, b.sink_username, c.sink_username) == ("me", None, None)
    assert (a.compression, b.compression, c.compression) == ("gzip", "gzip", "none")
    assert (b.sink_password, c.sink_password) == (None, None)


def test_the_defaults_are_no_mistake_because_check_prints_them() -> None:
    for environ in (environment(), environment(**S3), environment(**SPLUNK), environment(**KAFKA)):
        shown = effective(load(Settings, environ))
        load(Settings, {name: value for name, value in shown.items() if name != "LOGSHIPPER_SINK_TOKEN"} | environ)
