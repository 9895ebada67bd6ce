"""Light dataclasses behave as those of the standard library, and load faster."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.runtime.light_dataclasses import Field, asdict, dataclass, fields, replace


@dataclass(frozen=True)
class Point:
    NAME: ClassVar[str] = "a point"

    x: int
    y: int = 7


@dataclass(frozen=True)
class Named(Point):
    name: str = "here"
    tags: Any = Field(list, {"why": "a list of its own for each"})


@dataclass(frozen=True, slots=True)
class Small:
    x: int
    y: int = 7

    def total(self) -> int:
        return self.x + self.y


@dataclass(frozen=True, kw_only=True)
class ByName:
    first: int = 1
    second: int


@dataclasses.dataclass(frozen=True)
class Oracle:
    x: int
    y: int = 7


@given(st.lists(st.integers(), max_size=3), st.dictionaries(st.sampled_from(["x", "y", "z"]), st.integers()))
def test_it_takes_and_refuses_what_the_standard_librarys_does(given: list[int], named: dict[str, int]) -> None:
    try:
        expected = dataclasses.asdict(Oracle(*given, **named))
    except TypeError:
        with pytest.raises(TypeError):
            Point(*given, **named)
    else:
        assert asdict(Point(*given, **named)) == expected
        assert asdict(Small(*given, **named)) == expected


def test_values_are_compared_hashed_and_shown() -> None:
    assert Point(1) == Point(y=7, x=1)
    assert hash(Point(1)) == hash(Point(y=7, x=1))
    assert Point(1) != Point(2)
    assert Point(1) != Named(1)
    assert repr(Point(1)) == "Point(x=1, y=7)"


def test_nothing_can_be_changed_but_in_a_copy() -> None:
    point: Any = Point(1)
    with pytest.raises(AttributeError, match=r"Point\.x cannot be changed"):
        point.x = 2
    with pytest.raises(AttributeError, match=r"Point\.x cannot be deleted"):
        del point.x
    assert replace(point, x=2) == Point(2)
    assert point == Point(1)


def test_with_slots_it_is_the_same_and_nothing_else_can_be_put_in() -> None:
    small: Any = Small(1)
    assert (small, hash(small), repr(small), small.total()) == (Small(y=7, x=1), hash(Small(1)), "Small(x=1, y=7)", 8)
    assert replace(small, x=2) == Small(2)
    assert not hasattr(small, "__dict__")
    with pytest.raises(AttributeError):
        small.z = 1


def test_a_subclass_has_the_fields_of_its_base_first_and_a_default_is_made_anew_each_time() -> None:
    assert [field.name for field in fields(Named)] == ["x", "y", "name", "tags"]
    assert fields(Named)[3].metadata == {"why": "a list of its own for each"}
    assert Named(1).tags is not Named(1).tags


def test_a_field_without_a_default_may_follow_one_with_where_all_are_given_by_name() -> None:
    assert ByName(second=2) == ByName(first=1, second=2)
    with pytest.raises(TypeError, match="ByName needs second"):
        ByName()  # type: ignore[call-arg] # on purpose
    with pytest.raises(TypeError, match="ByName has no third"):
        ByName(second=2, third=3)  # type: ignore[call-arg] # on purpose


def test_another_kind_of_class_is_refused_rather_than_misread() -> None:
    with pytest.raises(
        TypeError, match=r"Oracle is not declared with sidecars\.chassis\.runtime\.light_dataclasses\.dataclass"
    ):
        fields(Oracle)
    with pytest.raises(TypeError, match="only"):
        dataclass()


@pytest.mark.processes
def test_settings_and_logs_load_nothing_that_a_job_has_to_wait_for() -> None:
    unwanted = {"dataclasses", "inspect", "typing", "logging", "re", "json", "asyncio", "signal", "enum", "pathlib"}
    script = f"""
import sys
from sidecars.chassis import commandline
from sidecars.chassis.runtime import logs
from sidecars.chassis.config.settings import ServiceSettings, load
logs.configure()
logs.get("x").info("hello", count=1)
print(*sorted({unwanted} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
    assert '"count":1' in done.stderr
