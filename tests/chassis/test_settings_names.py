"""The names of variables: unknown ones, injected ones, and names of members of a group."""

from __future__ import annotations

from typing import ClassVar

import pytest

from sidecars.chassis.config.effective_settings import effective
from sidecars.chassis.config.setting_types import text
from sidecars.chassis.config.settings import ServiceSettings, group, load, setting, specs
from sidecars.chassis.config.wrong_values import closest
from sidecars.chassis.runtime.light_dataclasses import dataclass
from tests.chassis.shop import Settings, loaded, problems

# -- names that are not ours --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("DEMO_COUNTS", "DEMO_COUNT"),
        ("DEMO_COUN", "DEMO_COUNT"),
        ("demo_count", "DEMO_COUNT"),
        ("Demo_Count", "DEMO_COUNT"),
        ("DEMO_DRAIN_TIMOUT", "DEMO_DRAIN_TIMEOUT"),
        ("DEMO_LOGLEVEL", "DEMO_LOG_LEVEL"),
        ("DEMO_UPSTREM", "DEMO_UPSTREAM"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(wrong: str, right: str) -> None:
    assert problems({wrong: "1"}) == [f"{wrong} is not a setting; did you mean {right}?"]


def test_a_name_without_its_last_letter_is_told_that_and_not_a_longer_one_that_begins_so() -> None:
    known = {"LOGSHIPPER_PATHS", "LOGSHIPPER_PATH_FIELDS", "LOGSHIPPER_ORDERS_PATHS"}
    assert closest("LOGSHIPPER_PATH", known, 0.6) == "LOGSHIPPER_PATHS"
    assert closest("LOGSHIPPER_PATH", known - {"LOGSHIPPER_PATHS"}, 0.6) == "LOGSHIPPER_PATH_FIELDS"


def test_an_unknown_name_that_is_like_no_other_is_pointed_to_help() -> None:
    [problem] = problems({"DEMO_XYZZYXYZZY": "1"})

    assert problem == f"DEMO_XYZZYXYZZY is not a setting; --help lists the {len(specs(Settings))} there are"


def test_other_programs_variables_are_none_of_our_business() -> None:
    loaded({"DEMONSTRATION": "1", "DEMO": "1", "PATH": "/bin", "OTHER_COUNT": "x"})


KUBERNETES = {
    "DEMO_SERVICE_HOST": "10.0.0.7",
    "DEMO_SERVICE_PORT": "8081",
    "DEMO_SERVICE_PORT_HTTP": "8081",
    "DEMO_SERVICE_PORT_ADMIN_2": "9914",
    "DEMO_PORT": "tcp://10.0.0.7:8081",
    "DEMO_PORT_8081_TCP": "tcp://10.0.0.7:8081",
    "DEMO_PORT_8081_TCP_PROTO": "tcp",
    "DEMO_PORT_8081_TCP_PORT": "8081",
    "DEMO_PORT_8081_TCP_ADDR": "10.0.0.7",
    "DEMO_PORT_53_UDP": "udp://10.0.0.7:53",
    "DEMO_PORT_53_UDP_PROTO": "udp",
    "DEMO_PORT_5060_SCTP_PROTO": "sctp",
}


@pytest.mark.parametrize("prefix", ["DEMO", "DEMO_FOO", "DEMO_COUNT", "DEMO_UPSTREAM", "DEMO_CART_UPSTREAM", "DEMO_2"])
def test_what_kubernetes_injects_for_a_service_is_ignored(prefix: str) -> None:
    """The Service may have a longer name, such as `demo-foo`, even that of a setting."""
    injected = {name.replace("DEMO", prefix, 1): value for name, value in KUBERNETES.items()}

    assert effective(loaded(injected)) == effective(loaded({}))


def test_what_kubernetes_injects_for_a_service_on_ipv6_is_ignored() -> None:
    loaded(
        {
            "DEMO_SERVICE_HOST": "fd00::7",
            "DEMO_PORT": "tcp://[fd00::7]:80",
            "DEMO_PORT_80_TCP": "tcp://[fd00::7]:80",
            "DEMO_PORT_80_TCP_ADDR": "fd00::7",
        }
    )


def test_an_injected_variable_is_not_taken_for_the_setting_of_a_thing_called_service() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Place:
        name: str
        host: str = setting(text, "the host")

    @dataclass(frozen=True, kw_only=True)
    class Hosts(ServiceSettings):
        PREFIX: ClassVar[str] = "DEMO"
        places: dict[str, Place] = group(Place, anchor="host")

    assert list(load(Hosts, {"DEMO_HOST": "a", "DEMO_SERVICE_HOST": "10.0.0.7"}).places) == ["default"]


@pytest.mark.parametrize(("name", "value"), [("DEMO_PORT", "http"), ("DEMO_SERVICE_HOST", "somewhere.example")])
def test_a_name_like_an_injected_one_with_a_users_value_is_unknown(name: str, value: str) -> None:
    [problem] = problems({name: value})

    assert problem.startswith(f"{name} is not a setting")


def test_no_setting_has_a_name_that_kubernetes_could_inject() -> None:
    for spec in specs(Settings):
        assert not spec.variable.endswith(("_PORT", "_SERVICE_HOST", "_SERVICE_PORT"))
        assert "_PORT_" not in spec.variable


# -- several of a kind --------------------------------------------------------------------------------------------


def test_without_a_name_there_is_one_and_it_is_the_default() -> None:
    shops = loaded({"DEMO_TIMEOUT": "9s"}).shops

    assert [(name, shop.name, shop.timeout) for name, shop in shops.items()] == [("default", "default", 9)]


def test_named_ones_take_what_has_no_name_as_their_default() -> None:
    shops = loaded(
        {
            "DEMO_UPSTREAM": "",
            "DEMO_CART_UPSTREAM": "http://cart",
            "DEMO_BIG_ORDERS_UPSTREAM": "http://orders",
            "DEMO_TIMEOUT": "9s",
            "DEMO_BIG_ORDERS_TIMEOUT": "30s",
            "DEMO_BIG_ORDERS_CONNECT_TIMEOUT": "2s",
        }
    ).shops

    assert list(shops) == ["big_orders", "cart"]
    assert (shops["cart"].timeout, shops["cart"].connect_timeout) == (9, 0.1)
    assert (shops["big_orders"].timeout, shops["big_orders"].connect_timeout) == (30, 2)


def test_one_with_a_name_beside_one_without_is_an_error() -> None:
    assert problems({"DEMO_CART_UPSTREAM": "http://cart"}) == [
        "DEMO_UPSTREAM is set beside DEMO_CART_UPSTREAM: give it a name, too"
    ]


def test_a_misspelt_setting_is_not_taken_for_a_name() -> None:
    assert problems({"DEMO_CONECT_TIMEOUT": "1s"}) == [
        "DEMO_CONECT_TIMEOUT is set, but DEMO_CONECT_UPSTREAM is not; did you mean DEMO_CONNECT_TIMEOUT?"
    ]


def test_a_name_without_its_anchor_is_told_what_is_missing() -> None:
    assert problems({"DEMO_CART_TIMEOUT": "1s", "DEMO_CART_TOKEN_FILE": "/x"}) == [
        "DEMO_CART_TIMEOUT is set, but DEMO_CART_UPSTREAM is not: set both",
        "DEMO_CART_TOKEN_FILE is set, but DEMO_CART_UPSTREAM is not: set both",
    ]


def test_a_misspelt_name_is_told_the_name_that_is_close() -> None:
    assert problems({"DEMO_UPSTREAM": "", "DEMO_ORDERS_UPSTREAM": "http://orders", "DEMO_ORDRES_TIMEOUT": "1s"}) == [
        "DEMO_ORDRES_TIMEOUT is set, but DEMO_ORDRES_UPSTREAM is not: set both, or did you mean DEMO_ORDERS_TIMEOUT?"
    ]


def test_a_wrong_value_of_a_named_one_names_its_own_variable() -> None:
    assert problems({"DEMO_UPSTREAM": "", "DEMO_CART_UPSTREAM": "http://cart", "DEMO_CART_TIMEOUT": "x"})[0].startswith(
        "DEMO_CART_TIMEOUT=x: expected"
    )


def test_a_wrong_default_of_several_is_told_once() -> None:
    environ = {"DEMO_UPSTREAM": "", "DEMO_A_UPSTREAM": "http://a", "DEMO_B_UPSTREAM": "http://b", "DEMO_TIMEOUT": "x"}

    assert len(problems(environ)) == 1


@pytest.mark.parametrize("name", ["DEMO__UPSTREAM", "DEMO_9_UPSTREAM", "DEMO_a_UPSTREAM", "DEMO_A__B_UPSTREAM"])
def test_a_name_is_made_of_capital_letters_and_digits(name: str) -> None:
    [problem] = problems({name: "http://x"})

    assert problem.startswith(f"{name} is not a setting")


@pytest.mark.parametrize("name", ["DEMO_DEFAULT_UPSTREAM", "DEMO_DEFAULT_TIMEOUT", "DEMO_DEFAULT_TOKEN_FILE"])
def test_default_is_no_name_since_it_is_what_the_one_without_a_name_is_called(name: str) -> None:
    [problem] = problems({name: "http://x"})

    assert problem.startswith(f"{name} is not a setting")


def test_a_setting_that_is_not_of_the_group_takes_no_name() -> None:
    [problem] = problems({"DEMO_CART_COUNT": "1"})

    assert problem.startswith("DEMO_CART_COUNT is not a setting")
