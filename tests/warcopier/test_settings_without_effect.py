"""Each setting has an effect alone, or its start is refused with what it needs."""

from __future__ import annotations

import pytest

from sidecars.chassis.config.effective_settings import effective
from sidecars.chassis.config.settings import SettingsError, load, specs
from sidecars.warcopier.settings import Settings

ALONE = (
    "SOURCE",
    "TARGET",
    "CONTEXT_PATH",
    "VERSION",
    "ALLOW_OLDER",
    "SHA256",
    "REQUIRE_SHA256",
    "DIGEST",
    "UNPACK",
    "VALIDATE",
    "MODE",
    "OWNER",
    "OVERWRITE",
    "PRUNE",
    "RESERVE",
    "WATCH",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "CONFINEMENT",
)

# They have an effect only while the process stays.
OF_WATCH = {
    "WATCH_INTERVAL": "5s",
    "ADMIN_LISTEN": ":9999",
    "ADMIN_STATUS": "any",
    "ADMIN_SIBLINGS": "logshipper=1",
    "DRAIN_TIMEOUT": "1m",
}

# They have an effect only while an archive is checked.
OF_CHECKS = {"MAX_UNPACKED_SIZE": "1GiB", "MAX_ENTRIES": "10", "MAX_RATIO": "5"}


def environment(**settings: str) -> dict[str, str]:
    return {f"WARCOPIER_{name}": value for name, value in settings.items()}


def problems(**settings: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Settings, environment(**settings))
    return caught.value.problems


def test_each_setting_is_in_one_of_the_tables() -> None:
    declared = [spec.variable.removeprefix("WARCOPIER_") for spec in specs(Settings) if spec.variable[:4] == "WARC"]
    assert sorted([*ALONE, *OF_WATCH, *OF_CHECKS]) == sorted(declared)


def test_each_setting_that_declares_a_need_is_in_a_table_that_has_a_case_for_it() -> None:
    declared = {spec.variable.removeprefix("WARCOPIER_") for spec in specs(Settings) if spec.needs}
    assert declared == {*OF_WATCH, *OF_CHECKS}


@pytest.mark.parametrize(("name", "value"), OF_WATCH.items())
def test_a_setting_of_a_process_that_stays_is_refused_where_it_ends(name: str, value: str) -> None:
    why = "WARCOPIER_WATCH is false, so the process ends after one run: set WARCOPIER_WATCH=true"
    assert problems(**{name: value}) == [f"WARCOPIER_{name} is set, but {why}"]
    load(Settings, environment(WATCH="true", **{name: value}))


@pytest.mark.parametrize("name", ["ADMIN_STATUS", "ADMIN_SIBLINGS"])
def test_a_setting_of_the_admin_port_needs_one(name: str) -> None:
    assert problems(WATCH="true", ADMIN_LISTEN="off", **{name: OF_WATCH[name]}) == [
        f"WARCOPIER_{name} is set, but WARCOPIER_ADMIN_LISTEN is off: set both"
    ]


@pytest.mark.parametrize(("name", "value"), OF_CHECKS.items())
def test_a_limit_of_archives_is_refused_where_none_is_checked(name: str, value: str) -> None:
    assert problems(VALIDATE="none", **{name: value}) == [
        f"WARCOPIER_{name} is set, but WARCOPIER_VALIDATE=none has no use for it: set WARCOPIER_VALIDATE to war or zip"
    ]
    load(Settings, environment(VALIDATE="zip", **{name: value}))


def test_an_admin_port_that_is_turned_off_is_no_mistake_in_a_process_that_ends() -> None:
    load(Settings, environment(ADMIN_LISTEN="off", ADMIN_SIBLINGS="off"))


def test_the_defaults_are_no_mistake_because_check_prints_them() -> None:
    load(Settings, {**effective(load(Settings, {})), "WARCOPIER_VALIDATE": "none"})
