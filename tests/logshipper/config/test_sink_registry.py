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
    "forward": "forward://h",
    "forward+tls": "forward+tls://h/tag",
    "syslog+tcp": "syslog+tcp://h",
    "syslog+tls": "syslog+tls://h",
}
VALUES = {
    "sink_token": {"SINK_TOKEN": "s3cret"},
    "sink_username": {"SINK_USERNAME": "me", "SINK_PASSWORD": "s3cret"},
    "sink_headers": {"SINK_HEADERS": "X-Scope-OrgID=shop"},
    "sink_ca": {"SINK_CA": "/ca.crt"},
    "sink_cert": {"SINK_CERT": "/tls.crt", "SINK_KEY": "/tls.key"},
    "sink_rotate_size": {"SINK_ROTATE_SIZE": "1MiB", "SINK_ROTATE_COUNT": "3"},
}


_BOTH = "LOGSHIPPER_SINK_TOKEN and LOGSHIPPER_SINK_USERNAME are both set, and a request has one Authorization: keep one"


def loaded(environ: dict[str, str]) -> Settings:
    ours = {f"LOGSHIPPER_{name}": value for name, value in environ.items()}
    return load(Settings, {"LOGSHIPPER_PATHS": "/logs/*.log", **ours})


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
    found = problems({"SINK": URLS[scheme], **VALUES[field], **shared_key})
    if field in sink_registry.SCHEMES[scheme].uses:
        assert found == []
    else:
        for name in VALUES[field]:
            assert f"LOGSHIPPER_{name} is set, but {scheme}: has no use for it" in found


@pytest.mark.parametrize("coding", ["gzip", "zstd", "snappy"])
@pytest.mark.parametrize("scheme", URLS)
def test_a_coding_is_refused_where_the_sink_does_not_have_it(scheme: str, coding: str) -> None:
    known = sink_registry.SCHEMES[scheme].compression
    expected = [] if coding in known else [f"LOGSHIPPER_COMPRESSION={coding} is not for {scheme}"]
    assert [
        problem[: len(expected[0])] for problem in problems({"SINK": URLS[scheme], "COMPRESSION": coding})
    ] == expected


def test_what_one_of_several_sinks_has_a_use_for_may_be_the_default_of_all() -> None:
    environ = {"A_SINK": "stdout:", "B_SINK": "http://h/", "SINK_TOKEN": "s3cret", "COMPRESSION": "gzip"}
    assert problems(environ) == []
    (problem,) = problems({"A_SINK": "stdout:", "B_SINK": "file:///out", "COMPRESSION": "gzip"})[:1]
    assert problem.startswith("LOGSHIPPER_A_COMPRESSION=gzip is not for stdout")
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
    "url", ["http://h/\u00fc", "http://b\u00fccher.example/", "loki+http://h/ x", "syslog+tcp://h/x"]
)
def test_a_url_that_cannot_be_sent_is_refused(url: str) -> None:
    (problem,) = problems({"SINK": url})
    assert problem.startswith("LOGSHIPPER_SINK=***: expected ")


def test_pairs_are_shown_as_they_are_read() -> None:
    pairs = {"a": "b,c=d", "e": "f g"}
    assert dict(header_pairs.parse_pairs(header_pairs.show_pairs(pairs))) == pairs
