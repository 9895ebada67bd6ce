"""Settings and requests of the adapter: four times as much hostile input is about four times the work."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from sidecars.adapter.app_client.decompression import decompress
from sidecars.adapter.app_client.outcome import AppResponse
from sidecars.adapter.rendering.escaping import escape_name
from sidecars.adapter.rendering.negotiation import negotiate_format
from sidecars.adapter.rules.lexer import BadRule
from sidecars.adapter.rules.rule import parse_rules
from sidecars.adapter.server.auth import BadCredentialsFile, parse_users
from sidecars.adapter.setting_types import by_route, routes
from sidecars.adapter.verdict.dialect_negotiation import choose_dialect
from sidecars.adapter.verdict.dialects import agent_line
from sidecars.adapter.verdict.verdict import Check, verdict_of
from sidecars.chassis.config.setting_types import choice
from tests.growth import Case, require_linear

pytestmark = pytest.mark.slow

MOST = 10**9  # bytes
LARGEST_PAGE = 20_000  # lines of a text that is parsed before the measurement

ACCEPT: dict[str, Any] = {
    "ranges": lambda n: "text/plain;version=0.0.4," * n,
    "parameters": lambda n: "text/plain" + ";q=0.5" * n,
    "commas": lambda n: "," * n,
    "quotes": lambda n: 'a/b;c="' + '\\"' * n,
    "blanks": lambda n: "a/b" + " " * n + ";",
    "semicolons": lambda n: "a/b" + ";" * n,
}


@pytest.mark.parametrize("name", ACCEPT)
def test_a_probers_accept_is_read_in_linear_time(name: str) -> None:
    def read(accept: str) -> None:
        negotiate_format(accept)
        choose_dialect("auto", "/health", accept)

    require_linear(Case(name, ACCEPT[name], read))


USERS: dict[str, Any] = {
    "users": lambda n: "".join(f"user{k}:$2b$10${'a' * 53}\n" for k in range(n)),
    "one user": lambda n: f"user:$2b$10${'a' * 53}\n" * n,
    "empty lines": lambda n: "\n" * n,
    "colons": lambda n: ":" * n,
}


@pytest.mark.parametrize("name", USERS)
def test_a_password_file_is_read_in_linear_time(name: str) -> None:
    def read(text: str) -> None:
        with contextlib.suppress(BadCredentialsFile):
            parse_users(text)

    require_linear(Case(name, USERS[name], read, LARGEST_PAGE))


RULE_TEXTS: dict[str, Any] = {
    "rules": lambda n: "".join(f"rule{k}: a{k} > 1\n" for k in range(n)),
    "rules of one name": lambda n: "a: a > 1\n" * n,
    "empty lines": lambda n: "\n" * n,
    "semicolons": lambda n: ";" * n,
    "parentheses": lambda n: "a: " + "(" * n,
    "operators": lambda n: "a: 1" + "+1" * n + " > 0",
    "matchers": lambda n: "a: b{" + ",".join(f'x{k}="y"' for k in range(n)) + "} > 0",
    "a string": lambda n: 'a: b{x="' + "\\\\" * n + '"} > 0',
    "an open string": lambda n: 'a: b{x="' + "y" * n,
    "labels": lambda n: "a: sum by (" + ",".join(f"x{k}" for k in range(n)) + ") (b) > 0",
    "digits": lambda n: "a: b > " + "1" * n,
    "a name": lambda n: "a" * n,
}


@pytest.mark.parametrize("name", RULE_TEXTS)
def test_rules_are_parsed_in_linear_time(name: str) -> None:
    def read(text: str) -> None:
        with contextlib.suppress(BadRule):
            parse_rules(text)

    require_linear(Case(name, RULE_TEXTS[name], read))


ROUTE_TEXTS: dict[str, Any] = {
    "routes": lambda n: ",".join(f"/a{k}=/b{k}" for k in range(n)),
    "one route": lambda n: "/a=/b," * n,
    "equals signs": lambda n: "/a=/" + "=" * n,
    "slashes": lambda n: "/" * n,
    "percent signs": lambda n: "/a=/" + "%41" * n,
    "queries": lambda n: "/a=/b?" + "c&" * n,
    "exceptions": lambda n: "verdict" + "".join(f",/a{k}=metrics" for k in range(n)),
}


@pytest.mark.parametrize("name", ROUTE_TEXTS)
def test_routes_are_parsed_in_linear_time(name: str) -> None:
    setting: Any = by_route(choice("verdict", "metrics"), "verdict") if name == "exceptions" else routes

    def read(text: str) -> None:
        with contextlib.suppress(ValueError):
            setting.parse(text)

    require_linear(Case(name, ROUTE_TEXTS[name], read, LARGEST_PAGE))


VERDICTS: dict[str, Any] = {
    "checks": lambda n: [Check(f"c{k}", "fail", "x") for k in range(n)],
    "a long reason": lambda n: [Check("c", "fail", "\u00e4\n" * n)],
    "a long name": lambda n: [Check("x" * n, "fail")],
}


@pytest.mark.parametrize("name", VERDICTS)
def test_a_verdict_is_written_for_haproxy_in_linear_time(name: str) -> None:
    require_linear(Case(name, VERDICTS[name], lambda checks: agent_line(verdict_of(checks)), LARGEST_PAGE))


@pytest.mark.parametrize("scheme", ["underscores", "dots", "values"])
def test_names_are_escaped_in_linear_time(scheme: str) -> None:
    require_linear(Case(scheme, lambda n: "\u00e4._" * n, lambda name: escape_name(name, scheme)))  # type: ignore[arg-type] # one of its words


def test_a_body_is_unpacked_in_linear_time() -> None:
    import gzip  # noqa: PLC0415 - here alone

    def make(n: int) -> AppResponse:
        return AppResponse(200, {"content-encoding": "gzip"}, gzip.compress(bytes(64 * n)))

    require_linear(Case("gzip", make, lambda response: decompress(response, MOST)))
