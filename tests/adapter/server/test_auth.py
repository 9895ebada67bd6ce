"""Authentication of probers by token or password."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from pathlib import Path

import bcrypt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecars.adapter.server.auth import Authenticator, BadCredentialsFile, parse_users
from sidecars.chassis.config.setting_types import Secret


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def secret(text: str) -> Secret:
    return Secret(lambda: text)


def basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


USERS = f"# who may scrape\nprometheus:{hashed('hunter2')}\n\nmonitor:{hashed('pass:word')}\n"


async def status(authenticator: Authenticator, authorization: str) -> int:
    refusal = await authenticator.refusal(authorization)
    return refusal.status if refusal else 200


async def test_a_name_and_its_password_are_let_in() -> None:
    authenticator = Authenticator(None, secret(USERS))

    assert await status(authenticator, basic("prometheus", "hunter2")) == 200
    assert await status(authenticator, basic("prometheus", "hunter2")) == 200
    assert await status(authenticator, basic("monitor", "pass:word")) == 200
    assert await status(authenticator, basic("prometheus", "pass:word")) == 401
    assert await status(authenticator, basic("nobody", "hunter2")) == 401
    assert await status(authenticator, basic("prometheus", "hunter2" + "x" * 80)) == 401


async def test_the_hashes_of_htpasswd_are_known() -> None:
    authenticator = Authenticator(None, secret(f"prometheus:{hashed('hunter2').replace('$2b$', '$2y$')}"))

    assert await status(authenticator, basic("prometheus", "hunter2")) == 200


async def test_a_token_is_let_in() -> None:
    authenticator = Authenticator(secret("t0ken"), None)

    assert await status(authenticator, "Bearer t0ken") == 200
    assert await status(authenticator, "bearer t0ken") == 200
    for wrong in ("", "Bearer", "Bearer t0ke", "Bearer t0ken2", "Basic t0ken", basic("a", "t0ken")):
        assert await status(authenticator, wrong) == 401


async def test_where_both_are_set_either_will_do_and_both_are_offered() -> None:
    authenticator = Authenticator(secret("t0ken"), secret(USERS))

    assert (
        await status(authenticator, "Bearer t0ken")
        == await status(authenticator, basic("prometheus", "hunter2"))
        == 200
    )
    refusal = await authenticator.refusal("")
    assert refusal
    assert refusal.headers["WWW-Authenticate"] == 'Basic realm="adapter", Bearer'


def test_without_secrets_nothing_is_asked() -> None:
    assert not Authenticator(None, None).required


async def test_a_new_file_counts_at_once_also_for_who_is_remembered(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text(f"prometheus:{hashed('old')}")
    authenticator = Authenticator(None, Secret(file.read_text))
    assert await status(authenticator, basic("prometheus", "old")) == 200

    file.write_text(f"prometheus:{hashed('new')}")

    assert await status(authenticator, basic("prometheus", "old")) == 401
    assert await status(authenticator, basic("prometheus", "new")) == 200


@pytest.mark.parametrize("text", ["", "garbage", "a:{SHA}x"])
async def test_a_file_that_turns_bad_lets_nobody_in(tmp_path: Path, text: str) -> None:
    file = tmp_path / "users"
    file.write_text(f"prometheus:{hashed('hunter2')}")
    authenticator = Authenticator(None, Secret(file.read_text))

    file.write_text(text)
    assert await status(authenticator, basic("prometheus", "hunter2")) == 401
    file.unlink()
    assert await status(authenticator, basic("prometheus", "hunter2")) == 401


async def test_a_file_that_breaks_again_after_it_was_fine_is_logged_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, file = f"prometheus:{hashed('hunter2')}", tmp_path / "users"
    file.write_text(good)
    authenticator = Authenticator(None, Secret(file.read_text))
    caplog.set_level("INFO")

    for text in ("", good, ""):
        file.write_text(text)
        for _ in range(3):
            await status(authenticator, basic("prometheus", "hunter2"))

    levels = [record.levelname for record in caplog.records if "credentials of probers" in record.getMessage()]
    assert levels == ["ERROR", "INFO", "ERROR"]


async def test_who_guesses_by_the_hundred_is_told_to_wait() -> None:
    authenticator = Authenticator(None, secret(USERS))

    statuses = await asyncio.gather(*(status(authenticator, basic("prometheus", str(guess))) for guess in range(200)))

    assert set(statuses) == {401, 503}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nobody\n",
        "a",
        "a:",
        ":$2y$x",
        "a:$apr1$x",
        "a:plain",
        "a:$2y$\u00e4",
        "a:$2y$10$short",
        f"a:$2y$31${'x' * 53}",
    ],
)
def test_a_file_without_bcrypt_hashes_is_refused_with_the_line(text: str) -> None:
    with pytest.raises(BadCredentialsFile, match="htpasswd -B"):
        parse_users(text)


async def test_a_hash_that_only_looks_like_one_lets_nobody_in() -> None:
    assert await status(Authenticator(None, secret(f"a:$2y$10${'x' * 53}")), basic("a", "")) == 401


HEADERS = st.builds(str.__add__, st.sampled_from(["Basic ", "Bearer ", "basic  ", ""]), st.text(max_size=60))


@given(HEADERS | st.binary(max_size=40).map(lambda raw: "Basic " + b64encode(raw).decode()))
@example("Basic \u00e9")
@example("Basic \u00e9===")
@example("Basic " + b64encode(b"\xff:\xff").decode())
@example("Basic " + b64encode(b"prometheus:\0").decode())
def test_no_header_breaks_the_guard(authorization: str) -> None:
    authenticator = Authenticator(secret("t0ken"), secret(USERS))

    assert asyncio.run(status(authenticator, authorization)) in (200, 401)
