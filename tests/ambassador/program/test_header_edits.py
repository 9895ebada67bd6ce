from __future__ import annotations

from pathlib import Path

from tests.ambassador.support import Ambassador, answering, backends
from tests.conftest import Start
from tests.support import wait_until


def test_the_upstream_sees_the_fields_the_token_and_the_host_that_were_set(start: Start, tmp_path: Path) -> None:
    seen: list[bytes] = []
    file = tmp_path / "token"
    file.write_text("first")
    with backends(answering(seen=seen)) as (backend,):
        ambassador = Ambassador(
            start, backend.url, HEADERS="X-Team: shop\n-X-Debug", HOST="preserve", TOKEN_FILE=str(file)
        )
        request = b"GET / HTTP/1.1\r\nHost: shop.example\r\nX-Debug: 1\r\nAuthorization: Basic abc\r\n\r\n"
        assert ambassador.ask(request)[0] == 200
        assert seen.pop() == (
            b"GET / HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer first\r\nX-Team: shop\r\n"
            b"Via: 1.1 ambassador\r\n\r\n"
        )
        file.write_text("second")
        wait_until(lambda: ambassador.ask(request) and b"Bearer second\r\n" in seen.pop(), "the new token upstream")
        assert "first" not in ambassador.program.stderr


def test_a_token_that_is_none_ends_it_with_78_and_is_not_shown(start: Start) -> None:
    program = start("ambassador", AMBASSADOR_UPSTREAM="http://orders", AMBASSADOR_TOKEN="not hidden")
    assert program.wait() == 78
    assert "AMBASSADOR_TOKEN: it holds no bearer token" in program.stderr
    assert "not hidden" not in program.stderr
