"""SASL and TLS, against a broker of our own: there is no other one here."""

from __future__ import annotations

import base64
from contextlib import closing, suppress
from pathlib import Path

import pytest

from sidecars.chassis.identity.aws_signature import AwsKeys
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import RetryLater, Sink
from sidecars.logshipper.sinks.kafka.tokens import msk_token
from tests.logshipper.opened_sinks import an_authority, opened
from tests.logshipper.posting import batch
from tests.logshipper.receivers import kafka
from tests.logshipper.receivers.kafka import KafkaBroker

MECHANISMS = {"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"}
USER = {"sink_username": "shop", "sink_password": "s3cret,=pencil"}


@pytest.mark.parametrize("sasl", MECHANISMS)
async def test_a_user_with_the_right_password_is_known(sasl: str, tmp_path: Path) -> None:
    ca, context = an_authority(tmp_path)
    with closing(KafkaBroker(context, mechanisms=(MECHANISMS[sasl],))) as broker:
        broker.sasl.users = {"shop": "s3cret,=pencil"}
        url = f"kafka+tls://localhost:{broker.port}/logs"
        async with opened(url, sink_sasl=sasl, sink_ca=ca, **USER) as sink:
            await sink.deliver(batch("1\n"))
        assert set(broker.sasl.logins) == {"shop"}
        assert len(broker.stored) == 1


@pytest.mark.parametrize("sasl", MECHANISMS)
async def test_a_wrong_password_waits_for_people(sasl: str) -> None:
    with closing(KafkaBroker(mechanisms=(MECHANISMS[sasl],))) as broker:
        broker.sasl.users = {"shop": "another"}
        async with opened(f"kafka://127.0.0.1:{broker.port}/logs", sink_sasl=sasl, **USER) as sink:
            with pytest.raises(
                RetryLater, match=r"SASL_AUTHENTICATION_FAILED .the credentials are not accepted"
            ) as refusal:
                await sink.deliver(batch("1\n"))
            assert "pencil" not in refusal.value.reason
            broker.sasl.users = {"shop": "s3cret,=pencil"}
            await sink.deliver(batch("1\n"))
        assert len(broker.stored) == 1


async def test_a_mechanism_that_the_brokers_do_not_have_is_told() -> None:
    with closing(KafkaBroker(mechanisms=("PLAIN", "GSSAPI"))) as broker:
        async with opened(f"kafka://127.0.0.1:{broker.port}/logs", sink_sasl="scram-sha-512", **USER) as sink:
            with pytest.raises(RetryLater, match=r"does not accept SCRAM-SHA-512.*it has PLAIN, GSSAPI"):
                await sink.deliver(batch("1\n"))


async def test_a_token_is_read_again_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    with closing(KafkaBroker(mechanisms=("OAUTHBEARER",))) as broker:
        broker.sasl.token = "new"
        url = f"kafka://127.0.0.1:{broker.port}/logs"
        async with opened(url, sink_sasl="oauthbearer", sink_token_file=str(file)) as sink:
            with pytest.raises(RetryLater, match="SASL_AUTHENTICATION_FAILED"):
                await sink.deliver(batch("1\n"))
            file.write_text("new\n")
            await sink.deliver(batch("1\n"))
        assert len(broker.stored) == 1


async def _accepted(sink: Sink, content: Batch) -> None:
    """Deliver a batch, however often a session of a millisecond ends in the middle of a request."""
    for _ in range(50):
        with suppress(RetryLater):
            await sink.deliver(content)
            return
    pytest.fail("the batch was never accepted")


async def test_a_session_is_replaced_before_it_ends() -> None:
    with closing(KafkaBroker(mechanisms=("PLAIN",))) as broker:
        broker.sasl.users, broker.sasl.session_life = {"shop": "s3cret,=pencil"}, 1
        async with opened(f"kafka://127.0.0.1:{broker.port}/logs", sink_sasl="plain", **USER) as sink:
            await _accepted(sink, batch("1\n"))
            before = len(broker.sasl.logins)
            await _accepted(sink, batch("2\n", 2))
        assert len(broker.sasl.logins) > before > 1
        assert len(broker.stored) == 2


async def test_a_broker_without_sasl_gets_no_credentials() -> None:
    with closing(KafkaBroker()) as broker:
        async with opened(f"kafka://127.0.0.1:{broker.port}/logs") as sink:
            await sink.deliver(batch("1\n"))
        assert kafka.SASL not in broker.requests
        assert kafka.HANDSHAKE not in broker.requests


def test_the_token_for_msk_is_a_presigned_request() -> None:
    keys = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "the session")
    token = msk_token(keys, "eu-central-1", 1_764_464_523)
    assert "=" not in token
    url = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    assert url.startswith(
        "https://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-"
    )
    assert "%2Feu-central-1%2Fkafka-cluster%2Faws4_request" in url
    assert "X-Amz-Expires=900" in url
    assert "X-Amz-Security-Token=the%20session" in url
    assert url.endswith("&User-Agent=logshipper")
