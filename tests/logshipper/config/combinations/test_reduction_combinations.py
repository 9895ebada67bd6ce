"""Settings that reduce what is shipped and do not fit together."""

from __future__ import annotations

import pytest

from sidecars.chassis.config.settings import SettingsError, load
from sidecars.logshipper.settings import Settings

KEY = "RATE_LIMIT_KEY is set, but"
NAMES = "file, namespace, pod, pod_uid, pod_ip, node"


def problems(**settings: str) -> list[str]:
    environ = {f"LOGSHIPPER_{name}": value for name, value in settings.items()}
    try:
        load(Settings, {"LOGSHIPPER_SINK": "stdout:", **environ})
    except SettingsError as error:
        return [problem.replace("LOGSHIPPER_", "") for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"SAMPLE_EXCEPT": "x"}, "SAMPLE_EXCEPT is set, but SAMPLE is not: how many are dropped?"),
        (
            {"SAMPLE": "2", "SAMPLE_KEY": "a"},
            "SAMPLE_KEY is set, but FORMAT=raw has no use for it: it is for json, logfmt, regex",
        ),
        (
            {"SAMPLE": "2", "FORMAT": "record"},
            "SAMPLE is set, but FORMAT=record has no use for it: records of ours are shipped as they are",
        ),
        (
            {"SAMPLE": "2", "SAMPLE_KEY": "a", "FORMAT": "regex", "REGEX": "(?P<b>.)"},
            "SAMPLE_KEY=a, but REGEX has no group of that name",
        ),
        ({"RATE_BURST": "5"}, "RATE_BURST is set, but RATE_LIMIT is not: what is the limit?"),
        ({"RATE_EXCESS": "drop"}, "RATE_EXCESS is set, but RATE_LIMIT is not: what is the limit?"),
        (
            {"RATE_LIMIT": "5/s", "FORMAT": "record"},
            "RATE_LIMIT is set, but FORMAT=record has no use for it: records of ours are shipped as they are",
        ),
        (
            {"RATE_LIMIT": "5/s", "RATE_LIMIT_KEY": "user", "LABELS": "team=x"},
            f"{KEY} FORMAT=raw has no such field: without fields there are {NAMES}, team",
        ),
        (
            {"RATE_LIMIT": "5/s", "RATE_LIMIT_KEY": "a", "FORMAT": "regex", "REGEX": "(?P<b>.)"},
            f"{KEY} REGEX has no group of that name",
        ),
        (
            {"RATE_LIMIT": "5/s", "RATE_LIMIT_KEY": "team", "PATHS": "/logs/*.log", "PATH_FIELDS": "/logs/{app}.log"},
            f"{KEY} FORMAT=raw has no such field: without fields there are {NAMES}, app",
        ),
        (
            {"SAMPLE": "2", "LABELS": "sample_rate=5"},
            "LABELS and SAMPLE both have sample_rate: a record has it once",
        ),
        (
            {"SAMPLE": "2", "PATHS": "/logs/*.log", "PATH_FIELDS": "/logs/{sample_rate}.log"},
            "PATH_FIELDS and SAMPLE both have sample_rate: a record has it once",
        ),
    ],
)
def test_a_setting_without_an_effect_is_one_sentence(settings: dict[str, str], sentence: str) -> None:
    assert problems(**{"PATHS": "/x", **settings}) == [sentence]


def test_one_input_may_ship_everything_while_the_others_are_sampled() -> None:
    assert not problems(PATHS="/x", RATE_LIMIT="5/s", RATE_LIMIT_KEY="user,file")
    assert not problems(PATHS="/a.log", PATH_FIELDS="/{app}.log", RATE_LIMIT="5/s", RATE_LIMIT_KEY="app")
    assert not problems(PATHS="/x", LABELS="sample_rate=5")
    assert not problems(PATHS="/x", RATE_LIMIT="5/s", RATE_LIMIT_KEY="pod", FORMAT="regex", REGEX="(?P<b>.)")
    assert not problems(SAMPLE="10", SAMPLE_EXCEPT="ERROR", A_PATHS="/a", ALL_PATHS="/all", ALL_SAMPLE="1")
