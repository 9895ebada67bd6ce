"""Where the live tail may listen."""

from __future__ import annotations

import re

import pytest

from sidecars.chassis.config.settings import SettingsError, load
from sidecars.logshipper.memory import ledger
from sidecars.logshipper.settings import Settings

BASE = {"LOGSHIPPER_PATHS": "/logs/*", "LOGSHIPPER_SINK": "stdout:"}


def settings(**more: str) -> Settings:
    return load(Settings, {**BASE, **{f"LOGSHIPPER_{name}": value for name, value in more.items()}})


@pytest.mark.parametrize(
    "listen", ["unix:/run/tail/tail.sock", "127.0.0.1:9922", "[::1]:9922", "localhost:9922", "off"]
)
def test_a_place_that_other_pods_cannot_reach_needs_no_token(listen: str) -> None:
    found = settings(TAIL_LISTEN=listen)
    assert str(found.tail_listen) == listen
    assert not list(found.warn())


@pytest.mark.parametrize("listen", [":9922", "0.0.0.0:9922", "10.0.0.7:9922", "[::]:9922", "shop.local:9922"])
def test_any_other_place_needs_a_token_and_is_warned_of(listen: str) -> None:
    with pytest.raises(SettingsError, match="would show log lines to other Pods: set LOGSHIPPER_TAIL_TOKEN_FILE, or"):
        settings(TAIL_LISTEN=listen)
    [warning] = settings(TAIL_LISTEN=listen, TAIL_TOKEN="t0ken-of-mine").warn()
    assert "are sent without encryption: use loopback and kubectl port-forward" in warning


@pytest.mark.parametrize(
    ("listen", "admin"),
    [
        ("127.0.0.1:9912", ":9912"),
        ("[::1]:9912", "127.0.0.1:9912"),
        ("localhost:9", "localhost:9"),
        ("unix:/run/a", "unix:/run/a"),
    ],
)
def test_the_admin_server_and_the_live_tail_need_two_addresses(listen: str, admin: str) -> None:
    sentence = f"LOGSHIPPER_TAIL_LISTEN={listen}: LOGSHIPPER_ADMIN_LISTEN is {admin}: give each its own address"
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        settings(TAIL_LISTEN=listen, ADMIN_LISTEN=admin)


@pytest.mark.parametrize("admin", ["off", ":9912", "127.0.0.1:0", "unix:/run/b"])
def test_another_address_of_the_admin_server_is_no_mistake(admin: str) -> None:
    assert str(settings(TAIL_LISTEN="127.0.0.1:0", ADMIN_LISTEN=admin).admin_listen) == admin


def test_a_token_without_a_live_tail_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match="LOGSHIPPER_TAIL_TOKEN is set, but LOGSHIPPER_TAIL_LISTEN is off"):
        settings(TAIL_TOKEN="t0ken-of-mine")


def test_the_live_tail_is_in_the_ledger_of_memory_only_where_it_is_set() -> None:
    without, with_tail = ledger(settings()), ledger(settings(TAIL_LISTEN="127.0.0.1:9922"))
    more = {entry.what: entry.total for entry in with_tail.entries if entry not in without.entries}
    assert "lines that wait for clients of the live tail" in more
    assert with_tail.total - without.total == sum(more.values()) < 16 * 2**20
