"""The rules of environment variables, with a settings class of the tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.effective_settings import effective
from sidecars.chassis.config.setting_types import SettingType
from sidecars.chassis.config.settings import ServiceSettings, SettingsError, load, setting, specs, variable
from sidecars.chassis.runtime.light_dataclasses import dataclass
from tests.chassis.shop import GOOD, Settings, loaded, problems
from tests.hostile_files import NO_SMALL_FILES, unblocked

# -- plain --------------------------------------------------------------------------------------------------------


def test_without_variables_the_defaults_are_in_force() -> None:
    settings = loaded({})

    assert (settings.count, settings.eager, settings.words, settings.limit) == (3, False, ("a", "b"), 65536)
    assert settings.labels is None
    assert settings.drain_timeout == 25
    assert not settings.admin_listen


def test_a_variable_is_the_prefix_and_the_fields_name() -> None:
    settings = loaded({"DEMO_COUNT": "5", "DEMO_EAGER": "true", "DEMO_LABELS": "a=b"})

    assert (settings.count, settings.eager, settings.labels) == (5, True, {"a": "b"})


def test_a_name_of_the_downward_api_has_no_prefix() -> None:
    assert loaded({"POD_NAME": "shop-0"}).pod_name == "shop-0"


def test_empty_is_unset() -> None:
    assert loaded({"DEMO_COUNT": "", "DEMO_EAGER": "", "DEMO_COUNT_FILE": "", "DEMO_NONSENSE": ""}).count == 3


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        loaded({}).count = 4  # type: ignore[misc] # that is the point


def test_a_required_setting_that_is_missing_is_told_with_its_meaning() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings, {})

    assert caught.value.problems == ["DEMO_UPSTREAM is not set: where it is"]


def test_a_required_setting_whose_name_was_misspelt_is_told_without_its_meaning() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings, {"DEMO_UPSTREEM": "http://x"})

    assert caught.value.problems == [
        "DEMO_UPSTREEM is not a setting; did you mean DEMO_UPSTREAM?",
        "DEMO_UPSTREAM is not set",
    ]


def test_all_mistakes_are_told_at_once() -> None:
    told = problems(
        {
            "DEMO_COUNT": "11",
            "DEMO_EAGER": "yes",
            "DEMO_TIMEOUT": "5",
            "DEMO_UPSTREAM": "ftp://x",
            "DEMO_LIMIT_FILE": "/nowhere",
            "DEMO_NONSENSE": "1",
            "DEMO_LOG_LEVEL": "loud",
        }
    )

    assert [problem.split()[0].split("=")[0].rstrip(":") for problem in sorted(told)] == [
        "DEMO_COUNT",
        "DEMO_EAGER",
        "DEMO_LIMIT_FILE",
        "DEMO_LOG_LEVEL",
        "DEMO_NONSENSE",
        "DEMO_TIMEOUT",
        "DEMO_UPSTREAM",
    ]


def test_a_mistake_names_the_variable_its_value_and_what_is_expected() -> None:
    assert problems({"DEMO_COUNT": "11"}) == ["DEMO_COUNT=11: expected a whole number of at least 1, at most 10"]


def test_the_error_counts_the_mistakes_when_there_are_several() -> None:
    with pytest.raises(SettingsError) as caught:
        loaded({"DEMO_COUNT": "x", "DEMO_EAGER": "x"})

    first, *rest = str(caught.value).splitlines()
    assert first == "2 settings are wrong:"
    assert len(rest) == 2


def test_a_long_value_is_not_repeated_in_full() -> None:
    [problem] = problems({"DEMO_COUNT": "x" * 5000})

    assert len(problem) < 300
    assert "…" in problem


def test_settings_that_do_not_fit_together_are_told_like_any_other() -> None:
    assert problems({"DEMO_COUNT": "7"}) == ["DEMO_COUNT=7: seven is taken"]


# -- by file ------------------------------------------------------------------------------------------------------


def test_a_value_by_file_is_that_files_text_without_its_last_newline() -> None:
    assert loaded({"DEMO_COUNT_FILE": "/count"}, {"/count": "5\n"}).count == 5


def test_a_value_given_both_ways_is_an_error() -> None:
    assert problems({"DEMO_COUNT": "1", "DEMO_COUNT_FILE": "/count"}, {"/count": "1"}) == [
        "DEMO_COUNT and DEMO_COUNT_FILE are both set: keep one"
    ]


@pytest.mark.parametrize("content", ["", "\n", "\r\n"])
def test_an_empty_file_is_an_error(content: str) -> None:
    assert problems({"DEMO_COUNT_FILE": "/count"}, {"/count": content}) == ["DEMO_COUNT_FILE=/count: the file is empty"]


def test_a_file_that_cannot_be_read_is_told_with_the_reason() -> None:
    assert problems({"DEMO_COUNT_FILE": "/nowhere"}) == [
        "DEMO_COUNT_FILE=/nowhere: the file cannot be read: No such file or directory"
    ]


def test_a_file_that_is_not_text_is_told_without_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "count"
    file.write_bytes(b"hunter2\xff")

    with pytest.raises(SettingsError) as caught:
        load(Settings, {**GOOD, "DEMO_COUNT_FILE": str(file)})

    assert caught.value.problems == [f"DEMO_COUNT_FILE={file}: the file cannot be read: it is not UTF-8 text"]


@pytest.mark.parametrize("kind", NO_SMALL_FILES)
def test_a_file_that_is_none_or_huge_is_told_and_never_waited_for(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "count"
    put, reason = NO_SMALL_FILES[kind]
    put(file)
    with pytest.raises(SettingsError) as caught:
        unblocked(lambda: load(Settings, {**GOOD, "DEMO_COUNT_FILE": str(file)}))

    (problem,) = caught.value.problems
    assert re.fullmatch(f"DEMO_COUNT_FILE={file}: the file cannot be read: {reason}", problem)


def test_a_wrong_value_in_a_file_names_the_variable_of_the_file() -> None:
    [problem] = problems({"DEMO_COUNT_FILE": "/count"}, {"/count": "x"})

    assert problem.startswith("DEMO_COUNT_FILE=/count: expected")


def test_the_text_of_a_file_is_not_repeated_since_it_may_be_another_file_than_was_meant() -> None:
    told = problems(
        {"DEMO_COUNT_FILE": "/token", "DEMO_LIMIT_FILE": "/token", "DEMO_LABELS_FILE": "/token"},
        {"/token": "hunter2\n"},
    )

    assert len(told) == 3
    assert "hunter2" not in str(told)


@pytest.mark.parametrize("variable", ["DEMO_PASSWORD_FILE", "DEMO_TOKEN_FILE", "DEMO_UPSTREAM_FILE"])
def test_a_secret_in_the_place_of_a_files_name_is_not_shown(variable: str) -> None:
    environ = {variable: "hunter2", "DEMO_UPSTREAM": "" if variable == "DEMO_UPSTREAM_FILE" else "http://shop"}

    assert problems(environ) == [f"{variable}=***: the file cannot be read: No such file or directory"]


@pytest.mark.parametrize("path", ["/run/secrets/pass-word.txt", "/var/run/..2026_01/token", "/x"])
def test_the_path_of_a_secrets_file_is_shown_and_its_text_is_not(path: str) -> None:
    environ = {"DEMO_PASSWORD_FILE": path, "DEMO_UPSTREAM": "http://shop"}

    assert problems(environ) == [f"DEMO_PASSWORD_FILE={path}: the file cannot be read: No such file or directory"]
    assert problems(environ, {path: "\n"}) == [f"DEMO_PASSWORD_FILE={path}: the file is empty"]


def test_a_rotated_secret_is_read_again_at_its_next_use(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("old\n")
    settings = load(Settings, {**GOOD, "DEMO_PASSWORD_FILE": str(file)})
    assert settings.password is not None
    assert settings.password.reveal() == "old"

    file.write_text("new\n")

    assert settings.password.reveal() == "new"


def test_a_secret_whose_file_is_gone_is_an_error_at_its_use(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("old\n")
    settings = load(Settings, {**GOOD, "DEMO_PASSWORD_FILE": str(file)})
    file.unlink()

    assert settings.password is not None
    with pytest.raises(FileNotFoundError):
        settings.password.reveal()


def test_a_kind_may_keep_the_name_of_the_file_to_look_at_it_again() -> None:
    watched: SettingType[tuple[str, str]] = SettingType(
        "words", lambda raw: (raw, ""), from_file=lambda value, name: (value[0], name)
    )

    @dataclass(frozen=True, kw_only=True)
    class Watching(ServiceSettings):
        PREFIX: ClassVar[str] = "DEMO"
        words: tuple[str, str] = setting(watched, "words", default="a")

    assert load(Watching, {}).words == ("a", "")
    assert load(Watching, {"DEMO_WORDS_FILE": "/words"}, lambda _: "b\n").words == ("b", "/words")


def test_a_named_setting_can_come_by_file_too() -> None:
    settings = loaded(
        {"DEMO_UPSTREAM": "", "DEMO_CART_UPSTREAM_FILE": "/cart", "DEMO_CART_TOKEN_FILE": "/token"},
        {"/cart": "http://cart\n", "/token": "hunter2\n"},
    )

    cart = settings.shops["cart"]
    assert cart.upstream.hostname == "cart"
    assert cart.token is not None
    assert cart.token.reveal() == "hunter2"


# -- shown --------------------------------------------------------------------------------------------------------


def test_the_effective_settings_show_every_variable_and_no_secret() -> None:
    shown = effective(
        loaded(
            {
                "DEMO_PASSWORD": "hunter2",
                "DEMO_TOKEN": "hunter2",
                "DEMO_UPSTREAM": "http://shop/?token=hunter2",
                "DEMO_TIMEOUT": "1500ms",
            }
        )
    )

    assert "hunter2" not in str(shown)
    assert set(shown) == {spec.variable for spec in specs(Settings)}
    assert shown["DEMO_PASSWORD"] == shown["DEMO_TOKEN"] == "***"
    assert shown["DEMO_UPSTREAM"] == "http://shop/?***"
    assert shown["DEMO_TIMEOUT"] == "1.5s"
    assert shown["DEMO_LABELS"] == ""


def test_a_wrong_secret_is_told_without_its_value() -> None:
    told = problems({"DEMO_UPSTREAM": "ftp://joe:hunter2@shop", "DEMO_COUNT_FILE": "/x"}, {"/x": "http://a:hunter2@b"})

    assert "hunter2" not in "".join(told)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "DEMO_COUNT": st.integers(1, 6).map(str),
            "DEMO_EAGER": st.sampled_from(["true", "false"]),
            "DEMO_LIMIT": st.integers(0, 2**40).map(str),
            "DEMO_TIMEOUT": st.integers(0, 10**6).map("{}ms".format),
            "DEMO_DRAIN_TIMEOUT": st.integers(0, 10**4).map("{}s".format),
            "DEMO_ADMIN_LISTEN": st.sampled_from(["off", ":1", "[::1]:2", "unix:/x"]),
            "DEMO_LABELS": st.sampled_from(["a=b", "a=b=c,d=e"]),
        },
    )
)
def test_what_is_shown_means_the_same_when_it_is_read_again(environ: dict[str, str]) -> None:
    settings = loaded(environ)

    assert load(Settings, effective(settings)) == settings


def test_the_variable_behind_a_field_is_known_at_run_time() -> None:
    assert variable(Settings, "admin_listen") == "DEMO_ADMIN_LISTEN"
    assert variable(Settings, "upstream") == "DEMO_UPSTREAM"
    assert variable(Settings, "upstream", "cart") == "DEMO_CART_UPSTREAM"
    assert variable(Settings, "pod_name") == "POD_NAME"
