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
    "sidecars/ambassador/config/seeing_settings.py": "the check of TRACES_HEADERS, whose messages repeat none of it",
    "sidecars/ambassador/http/bearer_token.py": "the field line of the token",
    "sidecars/ambassador/http/header_edits.py": "the field lines of HEADERS",
    "sidecars/ambassador/trace_export/exporter.py": "the target and the field lines of a request to TRACES_ENDPOINT",
    "sidecars/ambassador/upstream/health_checks.py": "the target of the request line of a health check",
    "sidecars/chassis/config/cloud_settings.py": "the path of a container's credentials at ECS",
    "sidecars/chassis/http/proxy/proxies.py": "the user and the password of a proxy, in Proxy-Authorization",
    "sidecars/chassis/identity/aws_sources.py": "the keys of a signature, and the token for a container's",
    "sidecars/chassis/identity/google_federation.py": "the path of a token endpoint",
    "sidecars/chassis/identity/oauth/oauth_client.py": "the path of a token endpoint",
    "sidecars/chassis/identity/token_places.py": "the audience of a client's proof, and a client's secret",
    "sidecars/chassis/identity/token_sources.py": "the path of a token endpoint",
    "sidecars/logshipper/live/tail_server.py": "the comparison with the token of a client of the live tail",
    "sidecars/logshipper/sinks/over_http/elasticsearch.py": "the path and the query of the sink's URL",
    "sidecars/logshipper/sinks/protocols/credentials.py": "the field lines of a request, and the shared key of Forward",
    "sidecars/logshipper/sinks/protocols/http_post.py": "the path and the query of the sink's URL",
}
"""The modules that call `reveal`, each with the place where the secret goes. A new one needs a reason here."""

SUSPICIOUS = re.compile(r"TOKEN|PASSWORD|SECRET|CREDENTIAL|HEADERS$|AUTH|_KEY$|URL|SINK$|TARGET$|UPSTREAM$|ROUTES$")
PUBLIC = {
    "ADAPTER_TARGET_KEY": "the name of a file",
    "ADAPTER_TLS_KEY": "the name of a file",
    "AMBASSADOR_AUTH": "a word",
    "AMBASSADOR_AUTH_AUDIENCE": "the name of a service",
    "AMBASSADOR_AUTH_AWS_PAYLOAD": "a word",
    "AMBASSADOR_AUTH_AWS_REGION": "the name of a region",
    "AMBASSADOR_AUTH_AWS_SERVICE": "the name of a service",
    "AMBASSADOR_AUTH_OAUTH_CA": "the name of a file",
    "AMBASSADOR_AUTH_OAUTH_CLIENT": "a word",
    "AMBASSADOR_AUTH_OAUTH_KEY": "the name of a file",
    "AMBASSADOR_AUTH_OAUTH_KEY_AUDIENCE": "the name of a service",
    "AMBASSADOR_AUTH_OAUTH_KEY_ID": "the name of a key",
    "AMBASSADOR_AUTH_OAUTH_SCOPE": "the name of a right",
    "AMBASSADOR_AUTH_USERNAME": "the name of a key or a client",
    "AMBASSADOR_MAX_HEADERS": "a number",
    "AMBASSADOR_TLS_KEY": "the name of a file",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "the name of a file",
    "AWS_SHARED_CREDENTIALS_FILE": "the name of a file",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "the name of a file",
    "AZURE_FEDERATED_TOKEN_FILE": "the name of a file",
    "GOOGLE_APPLICATION_CREDENTIALS": "the name of a file",
    "LOGSHIPPER_LEVEL_KEY": "the name of a field",
    "LOGSHIPPER_MESSAGE_KEY": "the name of a field",
    "LOGSHIPPER_RATE_LIMIT_KEY": "names of fields",
    "LOGSHIPPER_SAMPLE_KEY": "names of fields",
    "LOGSHIPPER_SINK_AUTH": "a word",
    "LOGSHIPPER_SINK_KEY": "the name of a file",
    "LOGSHIPPER_SINK_MESSAGE_KEY": "a template with the names of fields",
    "LOGSHIPPER_SINK_OAUTH_CLIENT": "a word",
    "LOGSHIPPER_SINK_OAUTH_KEY": "the name of a file",
    "LOGSHIPPER_SINK_OAUTH_KEY_AUDIENCE": "the name of a service",
    "LOGSHIPPER_SINK_OAUTH_KEY_ID": "the name of a key",
    "LOGSHIPPER_SINK_OAUTH_SCOPE": "the name of a right",
    "LOGSHIPPER_SINK_OBJECT_KEY": "a template of names",
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
    own = {variable for variable in PUBLIC if variable.startswith(f"{name.upper()}_")}
    shared = {spec.variable for spec in specs(cls)} & PUBLIC.keys()
    assert open_ones == own | shared
