"""Frozen dataclasses that load fast.

The standard library's `dataclasses` imports `inspect`, `ast` and `re`, and compiles several methods for each class. At
the start of an init container that takes longer than a bare Python from start to end. This module has the part that
settings and records need: immutable instances, compared by value, shown with their fields. For type checkers they *are*
dataclasses (PEP 681). Annotations are not evaluated, except for `ClassVar`; a module that declares such a class begins
with `from __future__ import annotations`.

For the same reason a module that a job loads imports `typing` for type checkers alone, and a generic class in it
derives from the `Generic` of this module.
"""

from __future__ import annotations

TYPE_CHECKING = False  # True for type checkers. `typing` takes as long to load as `dataclasses`
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Generic, TypeVar, dataclass_transform

    T = TypeVar("T")
else:

    class Generic:
        """Ignores the parameters of a class at run time."""

        def __class_getitem__(cls, _parameter: object) -> type:
            return cls

    T = None

    def dataclass_transform() -> Any:
        return lambda decorator: decorator


__all__ = ["TYPE_CHECKING", "Field", "Generic", "T", "asdict", "dataclass", "fields", "own_first", "replace"]

_FIELDS = "__frozen_fields__"
_set = object.__setattr__


class Field:
    """One field. `make` returns its default (None: it has none); `metadata` is for the code that declares it."""

    __slots__ = ("make", "metadata", "name")

    def __init__(
        self, make: Callable[[], object] | None = None, metadata: Mapping[str, Any] | None = None, name: str = ""
    ) -> None:
        self.make = make
        self.metadata: Mapping[str, Any] = metadata or {}
        self.name = name


@dataclass_transform()
def dataclass(*, frozen: bool = False, kw_only: bool = False, slots: bool = False) -> Callable[[type[T]], type[T]]:
    """Return a class decorator. Only `frozen=True` exists; it is written out for readers and type checkers.

    `slots` is for classes with thousands of instances.
    """
    if not frozen:
        raise TypeError("only dataclass(frozen=True): write a plain class for instances that change")

    def declared(cls: type[T]) -> type[T]:
        known: dict[str, Field] = {}
        for base in reversed(cls.__mro__[1:]):
            known |= base.__dict__.get(_FIELDS, {})
        for name, annotation in cls.__annotations__.items():
            if not str(annotation).startswith(("ClassVar", "typing.ClassVar")):
                known[name] = _field(cls, name)
        setattr(cls, _FIELDS, known)
        for name, method in {"__init__": _init_by_name if kw_only else _init, **_METHODS}.items():
            if name not in cls.__dict__:
                setattr(cls, name, method)
        return _with_slots(cls) if slots else cls

    return declared


def fields(cls: type) -> tuple[Field, ...]:
    """Return the fields in their order. Raises TypeError for a class that is not declared with this `dataclass`."""
    if _FIELDS not in cls.__dict__:
        raise TypeError(f"{cls.__name__} is not declared with sidecars.chassis.runtime.light_dataclasses.dataclass")
    return tuple(getattr(cls, _FIELDS).values())


def own_first(cls: type) -> list[Field]:
    """Return the fields of a class, its own before those of the classes that it derives from."""
    return sorted(fields(cls), key=lambda field: field.name not in cls.__annotations__)


def replace(record: T, **changes: Any) -> T:
    """Return a copy of the record with these fields changed."""
    return type(record)(**{**asdict(record), **changes})


def asdict(record: object) -> dict[str, Any]:
    """Return the fields and their values. A value that is itself a record stays one."""
    return {name: getattr(record, name) for name in getattr(type(record), _FIELDS)}


def _with_slots(cls: type[T]) -> type[T]:
    """Return the same class with `__slots__`, which only the creation of a class can set."""
    parts = {name: part for name, part in cls.__dict__.items() if name not in ("__dict__", "__weakref__")}
    again: type[T] = type(cls.__name__, cls.__bases__, {**parts, "__slots__": tuple(cls.__annotations__)})
    return again


def _field(cls: type, name: str) -> Field:
    if name not in cls.__dict__:
        return Field(name=name)
    default = cls.__dict__[name]
    delattr(cls, name)
    if isinstance(default, Field):
        return Field(default.make, default.metadata, name)
    return Field(lambda: default, name=name)


# -- the methods of such a class ----------------------------------------------------------------------------------


def _init_by_name(self: object, **values: Any) -> None:
    known: dict[str, Field] = getattr(type(self), _FIELDS)
    for name, field in known.items():
        if name in values:
            _set(self, name, values.pop(name))
        elif field.make is None:
            raise TypeError(f"{type(self).__name__} needs {name}")
        else:
            _set(self, name, field.make())
    if values:
        raise TypeError(f"{type(self).__name__} has no {', '.join(values)}")


def _init(self: object, *given: Any, **values: Any) -> None:
    known: dict[str, Field] = getattr(type(self), _FIELDS)
    if len(given) == len(known) and not values:
        for name, value in zip(known, given, strict=True):
            _set(self, name, value)
        return
    if len(given) > len(known):
        raise TypeError(f"{type(self).__name__} has {len(known)} fields, not {len(given)}")
    by_place = dict(zip(known, given, strict=False))
    if twice := by_place.keys() & values.keys():
        raise TypeError(f"{type(self).__name__} is given {', '.join(sorted(twice))} twice")
    _init_by_name(self, **by_place, **values)


def _refuse_to_set(self: object, name: str, _value: object) -> None:
    raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")


def _refuse_to_delete(self: object, name: str) -> None:
    raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")


def _is_equal(self: object, other: object) -> bool:
    return asdict(self) == asdict(other) if type(self) is type(other) else NotImplemented


def _hash(self: object) -> int:
    return hash(tuple(asdict(self).values()))


def _shown(self: object) -> str:
    shown = ", ".join(f"{name}={value!r}" for name, value in asdict(self).items())
    return f"{type(self).__name__}({shown})"


_METHODS = {
    "__setattr__": _refuse_to_set,
    "__delattr__": _refuse_to_delete,
    "__eq__": _is_equal,
    "__hash__": _hash,
    "__repr__": _shown,
}
