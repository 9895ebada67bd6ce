"""The oracle of keys: which repeats of a line a receiver of the world allows, and which it does not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.world.log_ledger import Ledger
from tests.world.log_receivers import Receiver
from tests.world.universe import Broken, Universe

A, B, C, D, E = ([f"f00d-{offset}"] for offset in range(5))
WHOLE, FIRST_HALF, SECOND_HALF = A + B + C + D, A + B, C + D


class NoVolume:
    """A volume of which nothing is asked."""

    on_destroyed: Any = None


@pytest.fixture
def receiver() -> Receiver:
    universe = Universe(1)
    return Receiver(universe, Ledger(universe, NoVolume()), "one", is_bulk=False, is_ordered=True)  # type: ignore[arg-type] # nothing is asked of it


def gets(receiver: Receiver, *batches: list[str]) -> None:
    """Let these batches come, each under the key of its records."""
    for ids in batches:
        receiver._check_key(" ".join(ids), ids)


def has_failed_on(receiver: Receiver, ids: list[str]) -> None:
    receiver._halved[" ".join(ids)] = None


def test_a_batch_that_comes_again_has_its_key(receiver: Receiver) -> None:
    gets(receiver, WHOLE, WHOLE)


@pytest.mark.parametrize("later", [FIRST_HALF, SECOND_HALF, B, WHOLE + E, D + E])
def test_a_line_does_not_come_under_another_key_without_a_reason(receiver: Receiver, later: list[str]) -> None:
    gets(receiver, WHOLE)
    with pytest.raises(Broken, match="comes under its first key"):
        gets(receiver, later)


def test_the_halves_of_a_batch_that_has_failed_have_keys_of_their_own(receiver: Receiver) -> None:
    """A kill in between lets the whole come again, and then the halves."""
    gets(receiver, WHOLE)
    has_failed_on(receiver, WHOLE)
    gets(receiver, FIRST_HALF, C, D, WHOLE, FIRST_HALF, SECOND_HALF, A)


@pytest.mark.parametrize("later", [WHOLE + E, D + E])
def test_more_than_a_batch_that_has_failed_does_not_come_with_its_lines(receiver: Receiver, later: list[str]) -> None:
    gets(receiver, WHOLE)
    has_failed_on(receiver, WHOLE)
    with pytest.raises(Broken, match="comes under its first key"):
        gets(receiver, later)
