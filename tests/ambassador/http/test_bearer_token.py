from __future__ import annotations

from pathlib import Path

from sidecars.ambassador.http.bearer_token import BearerToken
from sidecars.chassis.config.setting_types import Secret


def test_a_token_is_read_again_and_a_bad_one_leaves_the_earlier_in_force(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first.token==\n")
    token = BearerToken(Secret(file.read_text), "AMBASSADOR_TOKEN")
    seen = []
    for now, text in enumerate(["first.token==\n", "second", "two words", "a\r\nX: b", "", None, "third"]):
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        token.refresh(float(now))
        seen.append(token.line.removeprefix(b"\r\nAuthorization: Bearer ").decode())
    assert seen == ["first.token==", *["second"] * 5, "third"]
