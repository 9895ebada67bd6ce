"""House rules of the code that no linter knows: HTTP statuses are numbers, and each dataclass is of the right kind."""

from __future__ import annotations

import ast
import re
from http import HTTPStatus

from tests.repo.test_texts import tracked
from tests.support import ROOT

STATUS_NAMES = frozenset(HTTPStatus.__members__)


def test_an_http_status_is_written_as_its_number() -> None:
    """Logs, docs and RFCs use the number. `HTTPStatus` is for phrases, and a job would wait for its import."""
    found = []
    for path in tracked("sidecars/*.py"):
        tree = ast.parse(path.read_text())
        others = _constants_of_another_meaning(tree) | {"OK", "FOUND", "GONE"}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in STATUS_NAMES:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.attr}")
            elif isinstance(node, ast.Name) and node.id not in others and node.id.strip("_") in STATUS_NAMES - others:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.id}")
    assert found == []


def _constants_of_another_meaning(tree: ast.Module) -> set[str]:
    """Return the module's own constants that are no HTTP status, such as gRPC's NOT_FOUND, which is 5."""
    return {
        node.target.id
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and not (isinstance(node.value, ast.Constant) and node.value.value in set(HTTPStatus))
    }


def test_no_class_stands_for_a_combination_of_the_features_of_an_exchange() -> None:
    """A kind of exchange has no kinds of its own: features that meet are its parts (ARCHITECTURE.md)."""
    kinds = {"GrpcCall", "RewritingExchange"}
    found = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in tracked("sidecars/ambassador/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and kinds & {ast.unparse(base) for base in node.bases}
    ]
    assert found == []


def test_docstrings_name_their_subject_and_have_few_clauses_with_what() -> None:
    """A text with `what is left` hides its subject. Docstrings of h11, httpcore and structlog have up to 2 of 1,000."""
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [
        ast.get_docstring(node) or ""
        for path in tracked("sidecars/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, nodes)
    ]
    clauses = sum(len(re.findall(r"\b[Ww]hat(?:ever)?\b", text)) for text in texts)
    assert clauses <= 2 * sum(len(text.split()) for text in texts) / 1000


def test_a_property_test_asks_for_its_examples_so_that_make_test_fast_can_limit_them() -> None:
    """A number that the test gives to `settings` itself would hold there, too. `tests.support.examples` is the way."""
    own = [path for path in tracked("tests/*.py") if re.search(r"\bsettings\(\s*max_examples", path.read_text())]
    assert own == [ROOT / "tests" / "support.py"]


REQUESTS = frozenset({"get", "post", "put", "delete", "head", "request", "stream", "Client", "AsyncClient"})


def test_a_request_of_a_test_has_its_own_time_out() -> None:
    """The one of httpx is five seconds: on a busy machine a test would fail by chance. `tests.support.get` has one."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in tracked("tests/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "httpx"
        and node.func.attr in REQUESTS
        and not {"timeout", None} & {keyword.arg for keyword in node.keywords}
        and "MockTransport" not in ast.unparse(node)
    ]
    assert found == []


LIGHT = re.compile(
    r"sidecars/(warcopier/.*|chassis/(isolation|runtime)/.*|.*/((setting|target)_types|declared_fields|(\w+_)?settings)"
    r"|chassis/http/(accept_header|tls)|ambassador/status/conditions)\.py"
)


def test_dataclasses_are_light_where_a_job_or_the_settings_need_them_and_standard_elsewhere() -> None:
    """A job must not wait for `dataclasses` to load, and `setting` makes fields of light ones.

    A standard one takes a millisecond of each start, so the others are those of which every service has few instances.
    """
    wrong = []
    for path in tracked("sidecars/*.py"):
        name = str(path.relative_to(ROOT))
        imported = re.findall(r"^from (dataclasses|.*light_dataclasses) import (.*)$", path.read_text(), re.MULTILINE)
        for module, names in imported:
            if (module == "dataclasses") == bool(LIGHT.fullmatch(name)) and re.search(r"\bdataclass\b", names):
                wrong.append(f"{name}: {module}")
    assert wrong == []
