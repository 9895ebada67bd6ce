"""Secrets by type: which modules may see one, and which settings are one."""

from __future__ import annotations

import ast
import re

import pytest

from sidecars.chassis.config.settings import Settings, specs
from sidecars.chassis.settings_tables import sidecars
from tests.repo.test_texts import tracked
from tests.support import ROOT

MAY_REVEAL = {
    "sidecars/adapter/app_client/app_connection.py": "the target of the request line, and Authorization",
    "sidecars/adapter/server/auth.py": "the token and the users that a prober's are compared with",
    "sidecars/ambassador/http/bearer_token.py": "the field line of the token",
    "sidecars/ambassador/http/header_edits.py": "the field lines of HEADERS",
    "sidecars/ambassador/upstream/health_checks.py": "the target of the request line of a health check",
    "sidecars/logshipper/sinks/elasticsearch.py": "the path and the query of the sink's URL",
    "sidecars/logshipper/sinks/protocols/credentials.py": "the field lines of a request, and the shared key of Forward",
    "sidecars/logshipper/sinks/protocols/http_post.py": "the path and the query of the sink's URL",
}
"""The modules that call `reveal`, each with the place where the secret goes. A new one needs a reason here."""

SUSPICIOUS = re.compile(r"TOKEN|PASSWORD|SECRET|CREDENTIAL|HEADERS$|AUTH|_KEY$|URL|SINK$|TARGET$|UPSTREAM$|ROUTES$")
PUBLIC = {
    "ADAPTER_TARGET_KEY": "the name of a file",
    "ADAPTER_TLS_KEY": "the name of a file",
    "AMBASSADOR_MAX_HEADERS": "a number",
    "AMBASSADOR_TLS_KEY": "the name of a file",
    "LOGSHIPPER_LEVEL_KEY": "the name of a field",
    "LOGSHIPPER_SINK_KEY": "the name of a file",
    "LOGSHIPPER_TIME_KEY": "the name of a field",
    "WARCOPIER_TARGET": "the name of a directory",
}
"""The settings whose name looks like that of a secret or a URL, and which are none."""


def test_only_the_listed_modules_reveal_a_secret() -> None:
    found = set()
    for path in tracked("sidecars/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "reveal":
                found.add(str(path.relative_to(ROOT)))
    assert found == set(MAY_REVEAL)


def test_no_module_but_the_types_reads_what_is_behind_reveal() -> None:
    """`_read` and `_raw` are the slots of `Secret` and `RequestTarget`."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in tracked("sidecars/*.py")
        if path.name not in ("setting_types.py", "urls.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("_read", "_raw")
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    ]
    assert found == []


@pytest.mark.parametrize(("name", "cls"), [(readme.parent.name, cls) for readme, cls in sidecars()])
def test_a_setting_whose_name_looks_like_a_secrets_has_a_type_that_hides_it(name: str, cls: type[Settings]) -> None:
    open_ones = {
        spec.variable
        for spec in specs(cls)
        if SUSPICIOUS.search(spec.variable) and not (spec.type.secret or spec.type.sensitive)
    }
    assert open_ones == {variable for variable in PUBLIC if variable.startswith(f"{name.upper()}_")}
