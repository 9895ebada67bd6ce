"""PATH_FIELDS and FAIR_BY beside other settings of an input: what contradicts them is one sentence at the start."""

from __future__ import annotations

import pytest

from sidecars.chassis.config.settings import SettingsError, load
from sidecars.logshipper.settings import Settings

PODS = {
    "LOGSHIPPER_PATHS": "/var/log/pods/*/*/*.log*",
    "LOGSHIPPER_PATH_FIELDS": "kubernetes",
    "LOGSHIPPER_SINK": "http://collector",
}


def problems(**environ: str) -> list[str]:
    try:
        load(Settings, {**PODS, **environ})
    except SettingsError as error:
        return error.problems
    return []


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"LOGSHIPPER_PATH_FIELDS": "/logs/{a}{b}"}, "expected a text between two fields"),
        ({"LOGSHIPPER_PATHS": "/logs/*.log"}, "LOGSHIPPER_PATH_FIELDS is set, but it fits no path of LOGSHIPPER_PATHS"),
        (
            {"LOGSHIPPER_PATHS": "/var/log/pods/*/*.log"},
            "LOGSHIPPER_PATH_FIELDS is set, but it fits no path of LOGSHIPPER_PATHS",
        ),
        ({"LOGSHIPPER_LABELS": "container=x"}, "LOGSHIPPER_LABELS and LOGSHIPPER_PATH_FIELDS both have container"),
        ({"LOGSHIPPER_FORMAT": "record"}, "LOGSHIPPER_PATH_FIELDS is set, but LOGSHIPPER_FORMAT=record has no use"),
        ({"LOGSHIPPER_FAIR_BY": "pod,namespace,pod"}, "LOGSHIPPER_FAIR_BY has pod twice"),
        ({"LOGSHIPPER_FAIR_BY": "team"}, "LOGSHIPPER_FAIR_BY has team, which is no field of LOGSHIPPER_PATH_FIELDS"),
        (
            {"LOGSHIPPER_PATH_FIELDS": "", "LOGSHIPPER_FAIR_BY": "pod"},
            "LOGSHIPPER_FAIR_BY is set, but LOGSHIPPER_PATH_FIELDS is not",
        ),
        (
            {"LOGSHIPPER_SINK": "loki+http://loki", "LOGSHIPPER_LABELS": ",".join(f"a{n}=b" for n in range(11))},
            "LOGSHIPPER_LABELS has more than 12 labels",
        ),
    ],
)
def test_a_contradiction_is_one_sentence(environ: dict[str, str], sentence: str) -> None:
    (said,) = problems(**environ)
    assert sentence in said


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LOGSHIPPER_FAIR_BY": "namespace"},
        {"LOGSHIPPER_PATHS": "/var/log/pods/**/*.log"},
        {"LOGSHIPPER_PATHS": "/var/log/pods/shop_*/*/0.log"},
        {"LOGSHIPPER_PATHS": "/var/log/pods/shop_web_0a1b/app/0.log,/logs/*.log"},
        {"LOGSHIPPER_PATH_FIELDS": "/var/log/pods/*/{container}/*.log*", "LOGSHIPPER_LABELS": "pod=x"},
    ],
)
def test_a_template_that_fits_some_path_is_fine(environ: dict[str, str]) -> None:
    assert not problems(**environ)
