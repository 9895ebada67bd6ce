"""The settings of logshipper, and its error messages."""

from __future__ import annotations

import pytest

from sidecars.chassis.config.effective_settings import effective
from sidecars.chassis.config.settings import SettingsError, load
from sidecars.logshipper.settings import Settings


def settings(**environ: str) -> Settings:
    return load(Settings, {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": "stdout:", **environ})


def problems(**environ: str) -> list[str]:
    with pytest.raises(SettingsError) as error:
        settings(**environ)
    return error.value.problems


def test_paths_and_a_sink_are_all_that_is_required() -> None:
    with pytest.raises(SettingsError) as error:
        load(Settings, {})
    assert len(error.value.problems) == 2
    assert settings().inputs["default"].paths == ("/logs/*.log",)


def test_an_unknown_name_that_begins_only_one_setting_is_told_that_one() -> None:
    assert problems(LOGSHIPPER_ADMIN=":1") == [
        "LOGSHIPPER_ADMIN is not a setting; did you mean LOGSHIPPER_ADMIN_LISTEN?"
    ]


@pytest.mark.parametrize(
    ("sink", "shown"),
    [
        ("stdout:", "stdout:"),
        ("file:///var/out", "file:///var/out"),
        ("http://collector:8080", "http://collector:8080"),
        ("https://collector/", "https://collector/"),
        ("https://collector/HUNTER2/hunter2?source=hunter2#hunter2", "https://collector/***?***"),
        ("loki+http://loki:3100/hunter2", "loki+http://loki:3100/***"),
        ("otlp+https://[::1]:4318/hunter2", "otlp+https://[::1]:4318/***"),
        ("elasticsearch+http://es:9200/shop-logs", "elasticsearch+http://es:9200/shop-logs"),
        (
            "elasticsearch+http://es:9200/hunter2/shop-logs?pipeline=hunter2",
            "elasticsearch+http://es:9200/***/shop-logs?***",
        ),
        ("forward://fluentd/shop.logs", "forward://fluentd/shop.logs"),
        ("syslog+tls://rsyslog:6514", "syslog+tls://rsyslog:6514"),
    ],
)
def test_the_scheme_of_the_url_chooses_the_sink_and_what_is_shown_of_its_path(sink: str, shown: str) -> None:
    loaded = settings(LOGSHIPPER_SINK=sink)
    assert loaded.sinks["default"].url.scheme == sink.partition(":")[0]
    assert effective(loaded)["LOGSHIPPER_SINK"] == shown


@pytest.mark.parametrize(
    "sink", ["stdout", "stdout:/x", "file://host/out", "file:out", "kafka://broker", "http://", "x"]
)
def test_a_sink_that_is_none_is_refused(sink: str) -> None:
    (problem,) = problems(LOGSHIPPER_SINK=sink)
    assert problem.startswith("LOGSHIPPER_SINK=***: expected ")


def test_credentials_in_the_url_are_refused_and_not_shown() -> None:
    (problem,) = problems(LOGSHIPPER_SINK="http://me:hunter2@collector/")
    assert "SINK_TOKEN" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("environ", "part"),
    [
        ({"LOGSHIPPER_PATHS": "logs/*.log"}, "expected absolute paths"),
        ({"LOGSHIPPER_START_AT": "middle"}, "expected one of beginning, end"),
        ({"LOGSHIPPER_BATCH_SIZE": "1"}, "at least 4KiB"),
        ({"LOGSHIPPER_RETRY_MIN": "1m"}, "LOGSHIPPER_RETRY_MIN is longer than LOGSHIPPER_RETRY_MAX"),
        ({"LOGSHIPPER_SINK_TOKEN": "t"}, "LOGSHIPPER_SINK_TOKEN is set, but stdout: has no use for it"),
        ({"LOGSHIPPER_BATCHSIZE": "1MiB"}, "did you mean LOGSHIPPER_BATCH_SIZE?"),
    ],
)
def test_a_bad_setting_gets_a_sentence(environ: dict[str, str], part: str) -> None:
    assert part in " ".join(problems(**environ))


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("PATH", "PATHS"),
        ("COUNTS", "COUNT"),
        ("SINK_URL", "SINK"),
        ("SAMPLE_RATE", "SAMPLE"),
        ("DEFAULT_PATHS", "PATHS"),
        ("RATELIMIT", "RATE_LIMIT"),
        ("REGION", "SINK_REGION"),
        ("BATCH", "BATCH_SIZE"),
    ],
)
def test_an_unknown_name_is_told_what_was_meant(wrong: str, meant: str) -> None:
    assert problems(**{f"LOGSHIPPER_{wrong}": "1"}) == [
        f"LOGSHIPPER_{wrong} is not a setting; did you mean LOGSHIPPER_{meant}?"
    ]


@pytest.mark.parametrize("wrong", ["LIVE_TAIL", "XYZZYXYZZY"])
def test_the_prefix_of_all_names_makes_none_of_them_similar(wrong: str) -> None:
    (problem,) = problems(**{f"LOGSHIPPER_{wrong}": "1"})
    assert problem.startswith(f"LOGSHIPPER_{wrong} is not a setting; --help lists the ")


def test_inputs_and_sinks_can_be_several() -> None:
    found = load(
        Settings,
        {
            "LOGSHIPPER_ACCESS_PATHS": "/logs/access.log",
            "LOGSHIPPER_APP_PATHS": "/logs/app.log",
            "LOGSHIPPER_NEAR_SINK": "stdout:",
            "LOGSHIPPER_FAR_SINK": "http://collector/",
            "LOGSHIPPER_FAR_BATCH_TIMEOUT": "5s",
            "LOGSHIPPER_BATCH_TIMEOUT": "2s",
        },
    )
    assert sorted(found.inputs) == ["access", "app"]
    assert {name: sink.batch_timeout for name, sink in found.sinks.items()} == {"near": 2.0, "far": 5.0}


def test_two_sinks_on_one_stdout_or_in_one_directory_are_refused() -> None:
    for url in ("stdout:", "file:///out"):
        with pytest.raises(SettingsError, match="more than one"):
            load(Settings, {"LOGSHIPPER_PATHS": "/x", "LOGSHIPPER_A_SINK": url, "LOGSHIPPER_B_SINK": url})


@pytest.mark.parametrize(
    "environ",
    [
        {"LOGSHIPPER_PATHS": "/logs/**/*", "LOGSHIPPER_ON_REJECT": "/logs/rejected"},
        {"LOGSHIPPER_PATHS": "/logs/*.ndjson", "LOGSHIPPER_ON_REJECT": "/logs"},
        {"LOGSHIPPER_PATHS": "/logs/*", "LOGSHIPPER_SINK": "file:///logs"},
    ],
)
def test_what_we_write_where_our_own_globs_would_find_it_is_refused(environ: dict[str, str]) -> None:
    assert "its lines would be shipped for ever" in " ".join(problems(**environ))


@pytest.mark.parametrize(
    "environ",
    [
        {"LOGSHIPPER_PATHS": "/logs/*", "LOGSHIPPER_ON_REJECT": "/logs/rejected", "LOGSHIPPER_SINK": "http://h"},
        {"LOGSHIPPER_PATHS": "/logs/**", "LOGSHIPPER_EXCLUDE": "*.ndjson", "LOGSHIPPER_SINK": "file:///logs/audit"},
        {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": "file:///logs"},
    ],
)
def test_what_we_write_beside_the_logs_is_fine(environ: dict[str, str]) -> None:
    settings(**environ)


def test_pod_fields_are_those_that_are_set() -> None:
    assert settings(POD_NAME="shop-1", NODE_NAME="n1").pod_fields() == {"pod": "shop-1", "node": "n1"}


TWO = {"LOGSHIPPER_PATHS": "", "LOGSHIPPER_A_PATHS": "/a", "LOGSHIPPER_B_PATHS": "/b"}
SINKS = {"LOGSHIPPER_SINK": "", "LOGSHIPPER_A_SINK": "file:///out", "LOGSHIPPER_B_SINK": "https://collector/"}


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {**TWO, "LOGSHIPPER_A_FORMAT": "json", "LOGSHIPPER_A_MULTILINE": "java", "LOGSHIPPER_B_MULTILINE": "java"},
            "LOGSHIPPER_A_MULTILINE is set, but LOGSHIPPER_A_FORMAT=json has no use for java: it joins texts",
        ),
        (
            {**TWO, "LOGSHIPPER_A_FORMAT": "json", "LOGSHIPPER_MULTILINE": "java", "LOGSHIPPER_B_MULTILINE": "go"},
            "LOGSHIPPER_MULTILINE is set, but LOGSHIPPER_A_FORMAT=json has no use for java: it joins texts",
        ),
        (
            {**TWO, "LOGSHIPPER_FORMAT": "json", "LOGSHIPPER_B_FORMAT": "raw", "LOGSHIPPER_A_MULTILINE": "java"},
            "LOGSHIPPER_A_MULTILINE is set, but LOGSHIPPER_FORMAT=json has no use for java: it joins texts",
        ),
        (
            {**TWO, "LOGSHIPPER_A_REGEX": "(?P<a>.)", "LOGSHIPPER_B_FORMAT": "regex", "LOGSHIPPER_B_REGEX": "(?P<a>.)"},
            "LOGSHIPPER_A_REGEX is set, but LOGSHIPPER_A_FORMAT=raw has no use for it: it is for regex",
        ),
        (
            {
                **TWO,
                "LOGSHIPPER_FORMAT": "json",
                "LOGSHIPPER_A_TIME_FORMAT": "unix",
                "LOGSHIPPER_B_TIME_KEY": "t",
                "LOGSHIPPER_B_TIME_FORMAT": "unix",
            },
            "LOGSHIPPER_A_TIME_FORMAT is set, but LOGSHIPPER_A_TIME_KEY is not: which field has the time?",
        ),
        (
            {**TWO, "LOGSHIPPER_A_FORMAT": "record", "LOGSHIPPER_A_MULTILINE": "^x"},
            "LOGSHIPPER_A_MULTILINE is set, but LOGSHIPPER_A_FORMAT=record has no use for ^x: it joins texts",
        ),
        (
            {**TWO, "LOGSHIPPER_A_MULTILINE_TIMEOUT": "2s", "LOGSHIPPER_B_MULTILINE": "java"},
            "LOGSHIPPER_A_MULTILINE_TIMEOUT is set, but LOGSHIPPER_A_MULTILINE is not: each line is an event",
        ),
        (
            {**SINKS, "LOGSHIPPER_A_SINK_TOKEN": "t", "LOGSHIPPER_B_SINK_TOKEN": "t"},
            "LOGSHIPPER_A_SINK_TOKEN is set, but file: has no use for it: leave it out",
        ),
        (
            {**SINKS, "LOGSHIPPER_A_SINK_CA": "/ca", "LOGSHIPPER_SINK_CA": "/ca"},
            "LOGSHIPPER_A_SINK_CA is set, but file: has no use for it: leave it out",
        ),
        (
            {**SINKS, "LOGSHIPPER_A_COMPRESSION": "gzip", "LOGSHIPPER_B_COMPRESSION": "gzip"},
            "LOGSHIPPER_A_COMPRESSION is set, but file: has no compression: leave it out",
        ),
    ],
)
def test_a_setting_without_effect_is_told_whatever_another_input_or_sink_has(
    environ: dict[str, str], said: str
) -> None:
    assert problems(**environ) == [said]


@pytest.mark.parametrize(
    "environ",
    [
        {**TWO, "LOGSHIPPER_A_FORMAT": "json", "LOGSHIPPER_MULTILINE": "java"},
        {**TWO, "LOGSHIPPER_A_FORMAT": "json", "LOGSHIPPER_MULTILINE": "java", "LOGSHIPPER_A_MULTILINE": "none"},
        {**TWO, "LOGSHIPPER_A_FORMAT": "cri", "LOGSHIPPER_MULTILINE_TIMEOUT": "2s"},
        {**SINKS, "LOGSHIPPER_SINK_TOKEN": "t", "LOGSHIPPER_COMPRESSION": "gzip"},
    ],
)
def test_a_setting_without_a_name_is_for_those_that_have_a_use_for_it(environ: dict[str, str]) -> None:
    settings(**environ)


@pytest.mark.parametrize("value", ["java|go", "none, java", "Java Python", "regex:", "java,pyton", "java,auto"])
def test_several_kinds_of_multiline_are_no_regex(value: str) -> None:
    kinds = "java, python, go, ruby, php, node, dotnet, rust, indent, auto"
    said = " ".join(problems(LOGSHIPPER_MULTILINE=value))
    assert f"expected none, {kinds}, several of them, or the regex" in said


def test_inputs_know_which_variable_set_each_of_their_fields() -> None:
    found = settings(**TWO, LOGSHIPPER_FORMAT="json", LOGSHIPPER_A_FORMAT="cri").inputs
    assert found["a"].set_by == {"paths": "LOGSHIPPER_A_PATHS", "format": "LOGSHIPPER_A_FORMAT"}
    assert found["b"].set_by == {"paths": "LOGSHIPPER_B_PATHS", "format": "LOGSHIPPER_FORMAT"}


@pytest.mark.parametrize("variable", ["LOGSHIPPER_SINK_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"])
def test_headers_are_shown_by_their_names_and_a_wrong_one_by_its_position(variable: str) -> None:
    sink = {"LOGSHIPPER_SINK": "otlp+http://collector"}
    shown = effective(settings(**sink, **{variable: "X-Scope-OrgID=hunter2,Authorization=Basic%20hunter2"}))
    assert shown[variable] == "X-Scope-OrgID=***,Authorization=***"
    for wrong in ("X-Scope-OrgID=shop,hunter2", "X-Scope-OrgID=shop,hunter2 x=y", "X-Scope-OrgID=shop,X=%0Ahunter2"):
        (problem,) = problems(**sink, **{variable: wrong})
        assert problem.startswith(f"{variable}=***: expected ")
        assert "pair 2" in problem
        assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("sink", "is_clear"),
    [
        ("http://collector", True),
        ("loki+http://loki:3100", True),
        ("https://collector", False),
        ("http://127.0.0.1:8080", False),
        ("http://localhost", False),
    ],
)
@pytest.mark.parametrize("secret", ["SINK_TOKEN", "SINK_PASSWORD", "SINK_HEADERS"])
def test_a_secret_that_is_sent_without_encryption_is_warned_of(sink: str, secret: str, *, is_clear: bool) -> None:
    environ = {"SINK_TOKEN": "abc", "SINK_PASSWORD": "abc", "SINK_HEADERS": "X-Key=abc"}
    user = {"LOGSHIPPER_SINK_USERNAME": "joe"} if secret == "SINK_PASSWORD" else {}
    found = list(settings(LOGSHIPPER_SINK=sink, **user, **{f"LOGSHIPPER_{secret}": environ[secret]}).warn())
    wanted = f"LOGSHIPPER_{secret} is sent to LOGSHIPPER_SINK={sink} without encryption: use https"
    assert found == ([wanted] if is_clear else [])


def test_the_headers_of_opentelemetry_are_warned_of_for_otlp_alone() -> None:
    def warnings(sink: str) -> list[str]:
        return list(settings(LOGSHIPPER_SINK=sink, OTEL_EXPORTER_OTLP_HEADERS="a=b").warn())

    assert len(warnings("otlp+http://collector")) == 1
    assert warnings("http://collector") == []
