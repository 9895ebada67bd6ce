"""Contradictory settings: each is an error with one sentence that names the setting and the cure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from inspect import getsource
from pathlib import Path
from types import ModuleType

import pytest

from sidecars.chassis.config.settings import SettingsError, load
from sidecars.logshipper.config import sink_registry
from sidecars.logshipper.config.combinations import sink_needs
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.encodings import forward_entries, loki_push, ndjson, otlp_logs
from sidecars.logshipper.sinks.encodings.messages import gelf_messages, splunk_events, syslog_frames
from tests.logshipper.config.test_sink_registry import URLS
from tests.logshipper.pipelines import AT, records_of

JSON = {"FORMAT": "json"}
LOKI = {"SINK": "loki+http://h", "FORMAT": "json"}
REGEX = {"FORMAT": "regex", "REGEX": "(?P<a>.*)"}
PROXY = {"SINK": "https://h", "https_proxy": "http://proxy:3128"}
KINDS = {scheme.kind: scheme.module for scheme in sink_registry.SCHEMES.values()}


def problems(environ: dict[str, str]) -> list[str]:
    ours = {name if name[0].islower() else f"LOGSHIPPER_{name}": value for name, value in environ.items()}
    try:
        load(Settings, {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": "http://h/", **ours})
    except SettingsError as error:
        return error.problems
    return []


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({**JSON, "TIME_KEY": "a", "MESSAGE_KEY": "b,a"}, "TIME_KEY and LOGSHIPPER_MESSAGE_KEY are the same (a)"),
        ({**JSON, "LEVEL_KEY": "a", "MESSAGE_KEY": "a"}, "LEVEL_KEY and LOGSHIPPER_MESSAGE_KEY are the same (a)"),
        ({**JSON, "RENAME": "a:a"}, "RENAME=a:a: a:a changes nothing: expected another name behind the colon"),
        ({**JSON, "COPY": "a:a"}, "COPY=a:a: a:a changes nothing: expected another name behind the colon"),
        ({**JSON, "RENAME": "a:b,a:c"}, "a:c: expected each field once"),
        ({**JSON, "COPY": "a:b,a:b"}, "a:b: expected each field once"),
        ({**JSON, "ADD": "a=1,a=2"}, "a: expected each name once"),
        ({**JSON, "RENAME": "a:b", "REMOVE": "a"}, "REMOVE is set, but LOGSHIPPER_RENAME has given a another name"),
        ({**JSON, "LEVEL_KEY": "a", "COPY": "a:b"}, "COPY is set, but LOGSHIPPER_LEVEL_KEY has taken a out"),
        ({"RENAME": "a:b"}, "RENAME is set, but records of LOGSHIPPER_FORMAT=raw have message, and no a"),
        ({"COPY": "message.a:b"}, "COPY is set, but records of LOGSHIPPER_FORMAT=raw have message, and no message.a"),
        ({"REMOVE": "tmp_*"}, "REMOVE is set, but records of LOGSHIPPER_FORMAT=raw have message, and no tmp_*"),
        ({"FLATTEN": "true"}, "FLATTEN is set, but no field of LOGSHIPPER_FORMAT=raw is an object: leave it out"),
        ({"FORMAT": "logfmt", "FLATTEN": "true"}, "no field of LOGSHIPPER_FORMAT=logfmt is an object"),
        ({**REGEX, "REMOVE": "b"}, "FORMAT=regex have a, message, parse_error, and no b"),
        ({"FORMAT": "record", "RENAME": "a:b"}, "RENAME is set, but LOGSHIPPER_FORMAT=record ships records of ours"),
        ({"FORMAT": "record", "ADD": "a=b"}, "ADD is set, but LOGSHIPPER_FORMAT=record ships records of ours"),
        ({"FORMAT": "record", "ENCODING": "utf-16le"}, "ENCODING is set, but LOGSHIPPER_FORMAT=record ships records"),
        ({"READ_AT": "true", "SINK_ENCODING": "text"}, "READ_AT is set, but no sink of input default has a place"),
        ({"READ_AT": "true", "SINK": "stdout:"}, "READ_AT is set, but no sink of input default has a place"),
        ({"READ_AT": "true", "SINK_SCHEMA": "otel"}, "leave it out, or set SINK_SCHEMA=ecs"),
        ({"SINK_PROXY": "none"}, "none would be a host"),
        (
            {**PROXY, "no_proxy": "10.0.0.0/99"},
            "NO_PROXY has 10.0.0.0/99, which covers no host: expected host, .domain",
        ),
        ({**PROXY, "no_proxy": "a,h:99999"}, "NO_PROXY has h:99999, which covers no host"),
        ({**PROXY, "no_proxy": "*:80"}, "NO_PROXY has *:80, which covers no host"),
        ({**PROXY, "no_proxy": "http://a"}, "NO_PROXY has http://a, which covers no host"),
        (
            {"SINK": "s3://logs", "SINK_REGION": "x", "SINK_ENDPOINT": "http://me:pw@h"},
            "SINK_ENDPOINT=***: expected a URL",
        ),
        ({"SINK": "splunk+https://h"}, "SINK_TOKEN is not set, and the collector takes nothing without: set it"),
        ({"SINK": "http://{tenant}/"}, "expected a host without fields in braces: a sink has one receiver"),
        ({"SINK": "kafka://a,{b}/t"}, "expected a host without fields in braces: a sink has one receiver"),
        ({"SINK": "http://h/{tenant}"}, "expected a URL without fields in braces other than {batch_key}"),
        ({"SINK": "loki+http://h/{tenant}"}, "expected a URL without fields in braces: they would be sent as they are"),
        ({"SINK": "elasticsearch+http://h/{a}/i"}, "expected a URL without fields in braces but in the index"),
        ({**LOKI, "SINK_LABELS": "app={x}", "LABELS": "app=y"}, "LABELS and LOGSHIPPER_LABELS both have app"),
        (
            {**LOKI, "SINK_LABELS": "level", "LEVEL_KEY": "none"},
            "SINK_LABELS has level, but LOGSHIPPER_LEVEL_KEY is none",
        ),
        (
            {**LOKI, "FORMAT": "raw", "SINK_LABELS": "{a}"},
            "names the field a, but no line of LOGSHIPPER_FORMAT=raw has it",
        ),
        ({"SINK": "file:///state/out"}, "SINK is inside LOGSHIPPER_STATE_DIR=/state, which has our positions alone"),
        ({"ON_REJECT": "/state"}, "ON_REJECT is inside LOGSHIPPER_STATE_DIR=/state, which has our positions alone"),
        ({"SINK": "file:///logs/out", "PATHS": "/logs/**/*.ndjson"}, "PATHS matches the file of LOGSHIPPER_SINK"),
        ({"SINK": "file:///logs", "PATHS": "/logs/logshipper.0*"}, "PATHS matches the file of LOGSHIPPER_SINK"),
        ({"ON_REJECT": "/logs", "PATHS": "/logs/*.1.ndjson"}, "PATHS matches the file of LOGSHIPPER_ON_REJECT"),
        (
            {"SINK": "file:///o", "ON_REJECT": "/o", "RETRY_LIMIT": "3"},
            "ON_REJECT and LOGSHIPPER_SINK are one directory",
        ),
        (
            {"SINK": "kafka://h/t", "SINK_ENCODING": "json"},
            "SINK_ENCODING=json is not for kafka: each record has one event",
        ),
        (
            {"SINK": "kafka://h/t", "SINK_ENCODING": "text", "SINK_SCHEMA": "ecs"},
            "SINK_SCHEMA is set, but LOGSHIPPER_SINK_ENCODING=text sends the lines as they are: leave one out",
        ),
        ({"SINK": "loki+http://h", "SINK_SCHEMA": "ecs"}, "SINK_SCHEMA is set, but loki+http: has no use for it"),
        ({"SINK": "kafka://h/t", "IN_FLIGHT": "3"}, "IN_FLIGHT is set, but kafka: has one batch in flight at a time"),
        ({"SINK": "forward://h", "ON_REJECT": "/dead"}, "ON_REJECT is set, but forward: rejects no event"),
        ({"SINK": "forward://h", "ISOLATE_AFTER": "3"}, "ISOLATE_AFTER is set, but forward: has no status of HTTP"),
    ],
)
def test_a_contradiction_is_an_error_with_one_sentence(environ: dict[str, str], sentence: str) -> None:
    (said,) = problems(environ)
    assert sentence in said


@pytest.mark.parametrize(
    "environ",
    [
        {**JSON, "TIME_KEY": "t", "LEVEL_KEY": "auto", "MESSAGE_KEY": "m"},
        {"RENAME": "message:text", "COPY": "text:more", "REMOVE": "te*"},
        {"FORMAT": "cri", "REMOVE": "stream"},
        {"FORMAT": "docker", "FLATTEN": "true", "RENAME": "attrs.a:b"},
        {"RENAME": "message:a.b", "FLATTEN": "true"},
        {**JSON, "RENAME": "a:b,b:a", "REMOVE": "a"},
        {**REGEX, "REMOVE": "a", "ADD": "x=y"},
        {"A_PATHS": "/a/*", "B_PATHS": "/b/*", "PATHS": "", "B_FORMAT": "json", "RENAME": "a:b"},
        {"READ_AT": "true", "A_SINK": "stdout:", "B_SINK": "http://h", "SINK": ""},
        {"READ_AT": "true", "SINK": "stdout:", "SINK_SCHEMA": "ecs"},
        {"SINK_PROXY": "off"},
        {"SINK_PROXY": "http://none:3128"},
        {**PROXY, "no_proxy": "10.0.0.0/8,.svc,*.b,[fd00::1]:80,fd00::/8,example.org:443, ,10.0.0.1"},
        {"SINK": "https://h", "no_proxy": "10.0.0.0/99"},
        {**PROXY, "no_proxy": "10.0.0.0/99", "SINK_PROXY": "off"},
        {"SINK": "splunk+https://h", "SINK_HEADERS": "Authorization=Splunk%20t"},
        {"SINK": "splunk+https://h", "SINK_AUTH": "none"},
        {"SINK": "http://h/{batch_key}?token={batch_key}"},
        {"SINK": "elasticsearch+http://h/prefix/{tenant}-%F"},
        {**LOKI, "SINK_LABELS": "level,{a}", "LABELS": "app=y"},
        {"SINK": "file:///statement", "ON_REJECT": "/dead", "RETRY_LIMIT": "3"},
        {"SINK": "file:///logs"},
        {"ON_REJECT": "/state/rejected"},
        {"A_SINK": "kafka://h/t", "B_SINK": "http://h", "SINK": "", "IN_FLIGHT": "3", "ISOLATE_AFTER": "3"},
    ],
)
def test_what_fits_together_is_accepted(environ: dict[str, str]) -> None:
    assert not problems(environ)


BATCH = Batch("default", (records_of("a line\n", READ_AT="true", SINK="http://h/"),), AT)
ENCODERS: dict[str, Callable[[Batch], list[bytes]]] = {
    "http": ndjson.encode,
    "loki": lambda batch: loki_push.encode_json(batch, 1),
    "otlp": lambda batch: otlp_logs.encode(batch, {}, 1),
    "splunk": lambda batch: [str(splunk_events.encode(batch, splunk_events.Metadata())).encode()],
    "forward": lambda batch: forward_entries.encode_entries(batch, 1),
    "gelf": lambda batch: gelf_messages.encode(batch, "host"),
    "syslog": lambda batch: syslog_frames.encode_frames(batch, 1),
    "stdout": lambda batch: list(batch.raw()),
    "ecs": ndjson.encoder("ecs"),
    "otel": ndjson.encoder("otel"),
}


@pytest.mark.parametrize("form", ENCODERS)
def test_read_at_is_for_those_messages_that_have_a_place_for_it(form: str) -> None:
    (records,) = BATCH.records
    without = Batch("default", (replace(records, read_at=None),), AT)
    has_place = ENCODERS[form](BATCH) != ENCODERS[form](without)
    schema = {"SINK": "http://h", "SINK_SCHEMA": form} if form in ("ecs", "otel") else {}
    url = next(
        url
        for url in URLS.values()
        if sink_registry.of(sink_registry.parse(url)).kind == (form if not schema else "http")
    )
    assert has_place is not bool(
        problems({"READ_AT": "true", "SINK": url, "SINK_TOKEN": "t" if form == "splunk" else "", **schema})
    )


# -- what a sink does with the settings that all sinks have ------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_sink_with_one_batch_in_flight_has_no_use_for_more(kind: str) -> None:
    module = import_module(f"sidecars.logshipper.sinks.{KINDS[kind]}")
    (most,) = {value.max_in_flight for value in vars(module).values() if hasattr(value, "max_in_flight")}
    assert (most == 1) is (kind in sink_needs.ONE_BATCH)


@pytest.mark.parametrize("kind", KINDS)
def test_dead_letters_are_for_sinks_that_may_reject(kind: str) -> None:
    sources = "".join(map(getsource, _with_ours(import_module(f"sidecars.logshipper.sinks.{KINDS[kind]}"))))
    rejects = any(word in sources for word in ("rejected=", "BatchRefused(", "raise BatchTooLarge", "raise_for_status"))
    assert rejects is not (kind in sink_needs.NEVER_REJECT)


@pytest.mark.parametrize("kind", KINDS)
def test_a_status_of_http_may_be_about_an_event_for_sinks_over_http(kind: str) -> None:
    sources = "".join(map(getsource, _with_ours(import_module(f"sidecars.logshipper.sinks.{KINDS[kind]}"))))
    assert ("raise_for_status(" in sources) is (kind in sink_needs.OVER_HTTP)


def _with_ours(module: ModuleType) -> list[ModuleType]:
    """Return the module of a sink, and those beside it that have its name."""
    folder = Path(str(module.__file__)).parent
    name = module.__name__.rpartition(".")[2]
    package, own = module.__name__.rpartition(".")[0], package_is_own(module)
    found = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    return [import_module(f"{package}.{stem}") for stem in found if own or stem == name or stem.startswith(f"{name}_")]


def package_is_own(module: ModuleType) -> bool:
    """Return True if the sink is a package: its module has the package's name."""
    parts = module.__name__.split(".")
    return parts[-1] == parts[-2]
