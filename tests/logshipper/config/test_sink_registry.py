"""The settings of each sink: one that it does not use is an error."""

from __future__ import annotations

from importlib import import_module

import pytest

from sidecars.chassis.config.settings import SettingsError, load
from sidecars.logshipper.config import header_pairs, sink_registry
from sidecars.logshipper.settings import Settings

URLS = {
    "stdout": "stdout:",
    "file": "file:///out",
    "http": "http://h/",
    "https": "https://h/",
    "loki+http": "loki+http://h",
    "loki+https": "loki+https://h",
    "elasticsearch+http": "elasticsearch+http://h/logs",
    "elasticsearch+https": "elasticsearch+https://h/prefix/logs",
    "otlp+http": "otlp+http://h",
    "otlp+https": "otlp+https://h",
    "s3": "s3://logs/prefix",
    "splunk+http": "splunk+http://h:8088",
    "splunk+https": "splunk+https://h:8088/prefix",
    "forward": "forward://h",
    "forward+tls": "forward+tls://h/tag",
    "gelf+tcp": "gelf+tcp://h",
    "gelf+tls": "gelf+tls://h:12201",
    "gelf+http": "gelf+http://h:12201",
    "gelf+https": "gelf+https://h/gelf",
    "nats": "nats://h/logs",
    "nats+tls": "nats+tls://h:4222/logs.shop-1",
    "relp": "relp://h",
    "relp+tls": "relp+tls://h:20514",
    "syslog+tcp": "syslog+tcp://h",
    "syslog+tls": "syslog+tls://h",
    "kafka": "kafka://h,h2:9093/topic",
    "kafka+tls": "kafka+tls://h/logs-{namespace}-%F",
}
VALUES = {
    "sink_token": {"SINK_TOKEN": "s3cret"},
    "sink_username": {"SINK_USERNAME": "me", "SINK_PASSWORD": "s3cret"},
    "sink_headers": {"SINK_HEADERS": "X-Scope-OrgID=shop"},
    "sink_ca": {"SINK_CA": "/ca.crt"},
    "sink_cert": {"SINK_CERT": "/tls.crt", "SINK_KEY": "/tls.key"},
    "sink_ack": {"SINK_ACK": "required"},
    "sink_index": {"SINK_INDEX": "main"},
    "sink_sourcetype": {"SINK_SOURCETYPE": "log4j"},
    "sink_bulk": {"SINK_BULK": "true"},
    "sink_max_message": {"SINK_MAX_MESSAGE": "64KiB"},
    "sink_acl": {"SINK_ACL": "bucket-owner-full-control"},
    "sink_checksum": {"SINK_CHECKSUM": "sha256"},
    "sink_content_encoding": {"SINK_CONTENT_ENCODING": "true"},
    "sink_endpoint": {"SINK_ENDPOINT": "https://minio:9000"},
    "sink_object_key": {"SINK_OBJECT_KEY": "%Y/"},
    "sink_path_style": {"SINK_PATH_STYLE": "true"},
    "sink_sse": {"SINK_SSE": "aws:kms", "SINK_SSE_KMS_KEY_ID": "alias/logs"},
    "sink_storage_class": {"SINK_STORAGE_CLASS": "STANDARD_IA"},
    "sink_tags": {"SINK_TAGS": "team=shop,env=prod"},
    "sink_transactional_id": {"SINK_TRANSACTIONAL_ID": "shop-1"},
    "sink_message_key": {"SINK_MESSAGE_KEY": "{user.id}"},
    "sink_sasl": {"SINK_SASL": "aws-msk-iam"},
    "sink_rotate_size": {"SINK_ROTATE_SIZE": "1MiB", "SINK_ROTATE_COUNT": "3"},
}


_BOTH = "LOGSHIPPER_SINK_TOKEN and LOGSHIPPER_SINK_USERNAME are both set, and a request has one Authorization: keep one"


def loaded(environ: dict[str, str]) -> Settings:
    ours = {f"LOGSHIPPER_{name}": value for name, value in environ.items()}
    return load(Settings, {"LOGSHIPPER_PATHS": "/logs/*.log", "AWS_REGION": "eu-central-1", **ours})


def problems(environ: dict[str, str]) -> list[str]:
    try:
        loaded(environ)
    except SettingsError as error:
        return error.problems
    return []


def test_every_scheme_has_its_module_and_a_url() -> None:
    assert URLS.keys() == sink_registry.SCHEMES.keys()
    for scheme in sink_registry.SCHEMES.values():
        assert callable(import_module(f"sidecars.logshipper.sinks.{scheme.module}").create)


@pytest.mark.parametrize("field", VALUES)
@pytest.mark.parametrize("scheme", URLS)
def test_a_setting_is_taken_by_the_sinks_that_use_it_and_refused_by_the_others(scheme: str, field: str) -> None:
    shared_key = {"SINK_TOKEN": "key"} if scheme.startswith("forward") and field == "sink_username" else {}
    mechanisms = {"sink_token": "oauthbearer", "sink_username": "plain"} if scheme.startswith("kafka") else {}
    if scheme.startswith("splunk") and field not in ("sink_token", "sink_username"):
        shared_key = {"SINK_TOKEN": "t"}
    mechanism = {"SINK_SASL": mechanisms[field]} if field in mechanisms else {}
    found = problems({"SINK": URLS[scheme], **VALUES[field], **shared_key, **mechanism})
    if field in sink_registry.SCHEMES[scheme].uses:
        assert found == []
    else:
        for name in VALUES[field]:
            assert f"LOGSHIPPER_{name} is set, but {scheme}: has no use for it: leave it out" in found


@pytest.mark.parametrize("coding", ["gzip", "zstd", "snappy", "lz4"])
@pytest.mark.parametrize("scheme", URLS)
def test_a_coding_is_refused_where_the_sink_does_not_have_it(scheme: str, coding: str) -> None:
    known = sink_registry.SCHEMES[scheme].compression
    refused = f"={coding} is not for {scheme}" if len(known) > 1 else f" is set, but {scheme}: has no compression"
    expected = [] if coding in known else [f"LOGSHIPPER_COMPRESSION{refused}"]
    token = {"SINK_TOKEN": "t"} if scheme.startswith("splunk") else {}
    found = problems({"SINK": URLS[scheme], "COMPRESSION": coding, **token})
    assert [problem[: len(expected[0])] for problem in found] == expected


def test_what_one_of_several_sinks_has_a_use_for_may_be_the_default_of_all() -> None:
    environ = {"A_SINK": "stdout:", "B_SINK": "http://h/", "SINK_TOKEN": "s3cret", "COMPRESSION": "gzip"}
    assert problems(environ) == []
    (problem,) = problems({"A_SINK": "stdout:", "B_SINK": "file:///out", "COMPRESSION": "gzip"})[:1]
    assert problem.startswith("LOGSHIPPER_COMPRESSION is set, but stdout: has no compression")
    (problem,) = problems({"A_SINK": "loki+http://h", "B_SINK": "http://h/", "COMPRESSION": "snappy"})
    assert problem == "LOGSHIPPER_B_COMPRESSION=snappy is not for http: it knows none, gzip, zstd"


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"SINK_USERNAME": "me"}, "LOGSHIPPER_SINK_USERNAME is set, but LOGSHIPPER_SINK_PASSWORD is not: set both"),
        ({"SINK_PASSWORD": "s"}, "LOGSHIPPER_SINK_PASSWORD is set, but LOGSHIPPER_SINK_USERNAME is not: set both"),
        (
            {"SINK_USERNAME": "a:b", "SINK_PASSWORD": "s"},
            "LOGSHIPPER_SINK_USERNAME has a colon, which basic authentication cannot carry (RFC 7617)",
        ),
        ({"SINK_KEY": "/k"}, "LOGSHIPPER_SINK_KEY is set, but LOGSHIPPER_SINK_CERT is not: set both"),
        (
            {"SINK_TOKEN": "s", "SINK_USERNAME": "me", "SINK_PASSWORD": "s"},
            _BOTH,
        ),
    ],
)
def test_credentials_that_are_incomplete_or_too_many_are_refused(environ: dict[str, str], sentence: str) -> None:
    assert sentence in problems({"SINK": "https://h/", **environ})


def test_more_labels_than_loki_takes_are_refused() -> None:
    labels = ",".join(f"l{number}=x" for number in range(13))
    (problem,) = problems({"SINK": "loki+http://h", "LABELS": labels})
    assert problem == "LOGSHIPPER_LABELS has more than 12 labels: with ours Loki would refuse every line"
    assert problems({"SINK": "http://h/", "LABELS": labels}) == []


@pytest.mark.parametrize(
    "url",
    [
        "nats://h",
        "nats://h/a..b",
        "nats://h/a.*",
        "nats://h/$JS.API",
        "nats://h/_INBOX.a",
        "http://h/\u00fc",
        "http://b\u00fccher.example/",
        "loki+http://h/ x",
        "syslog+tcp://h/x",
    ],
)
def test_a_url_that_cannot_be_sent_is_refused(url: str) -> None:
    (problem,) = problems({"SINK": url})
    assert problem.startswith("LOGSHIPPER_SINK=***: expected ")


@pytest.mark.parametrize(
    ("url", "shown", "form"),
    [
        ("splunk+htps://h:8088", "splunk+htps://h:8088", "splunk+http(s)://host[:port]?"),
        ("otlp://h", "***", "otlp+http(s)://host[:port]?"),
        ("kafka+ssl://h/t", "***", "kafka(+tls)://host[:port][,host[:port]…]/topic?"),
        ("http//h", "***", "http(s)://host[:port]/path?"),
    ],
)
def test_a_scheme_that_is_close_to_a_known_one_is_told_its_form(url: str, shown: str, form: str) -> None:
    assert problems({"SINK": url}) == [f"LOGSHIPPER_SINK={shown}: expected a known scheme; did you mean {form}"]


def test_a_sink_without_a_scheme_is_shown_and_told_what_it_lacks() -> None:
    (problem,) = problems({"SINK": "127.0.0.1:3100"})
    assert problem.startswith("LOGSHIPPER_SINK=127.0.0.1:3100: expected ")
    assert problem.endswith("; it has no scheme: write one of these before it")


def test_a_malformed_url_is_told_the_form_of_its_scheme() -> None:
    assert problems({"SINK": "s3:/bucket"}) == ["LOGSHIPPER_SINK=***: expected s3://bucket[/prefix]"]
    assert problems({"SINK": "otlp+http://h:x"}) == ["LOGSHIPPER_SINK=***: expected otlp+http(s)://host[:port]"]


def test_pairs_are_shown_as_they_are_read() -> None:
    pairs = {"a": "b,c=d", "e": "f g"}
    assert dict(header_pairs.parse_pairs(header_pairs.show_pairs(pairs))) == pairs
