"""Frozen dataclasses that cost nothing to load.

The standard library's `dataclasses` brings `inspect`, `ast` and `re` along and compiles several methods for each class:
at the start of an init container that is more than a bare Python takes from start to finish. This is the part of it
that settings and facts need: immutable, compared by value, shown by their fields. For type checkers it *is* a dataclass
(PEP 681). Annotations are never looked into, but for `ClassVar`; a module that declares one begins with
`from __future__ import annotations`.

For the same reason the chassis imports `typing` for type checkers alone, and a generic class derives from the `Generic`
that stands here.
"""

from __future__ import annotations

TYPE_CHECKING = False  # for type checkers it is true; typing itself costs as much as dataclasses
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Generic, TypeVar, dataclass_transform

    T = TypeVar("T")
else:

    class Generic:
        """At run time a parameter of a class means nothing."""

        def __class_getitem__(cls, _parameter: object) -> type:
            return cls

    T = None

    def dataclass_transform() -> Any:
        return lambda decorator: decorator


__all__ = ["TYPE_CHECKING", "Field", "Generic", "T", "asdict", "dataclass", "fields", "replace"]

_FIELDS = "__frozen_fields__"
_set = object.__setattr__


class Field:
    """One field: how its default is made (None: it has none), and what else is to be known about it."""

    __slots__ = ("make", "metadata", "name")

    def __init__(
        self, make: Callable[[], object] | None = None, metadata: Mapping[str, Any] | None = None, name: str = ""
    ) -> None:
        self.make = make
        self.metadata: Mapping[str, Any] = metadata or {}
        self.name = name


@dataclass_transform()
def dataclass(*, frozen: bool = False, kw_only: bool = False, slots: bool = False) -> Callable[[type[T]], type[T]]:
    """A class decorator. `frozen=True` is spelt out, for readers and type checkers; there is no other kind.

    `slots`: for facts of which there are thousands.
    """
    if not frozen:
        raise TypeError("only dataclass(frozen=True): what can change is a class of its own")

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
    """The fields in their order. Raises TypeError for a class that was not declared with this module's `dataclass`."""
    if _FIELDS not in cls.__dict__:
        raise TypeError(f"{cls.__name__} is not declared with sidecars.chassis.runtime.light_dataclasses.dataclass")
    return tuple(getattr(cls, _FIELDS).values())


def replace(record: T, **changes: Any) -> T:
    """The record with some of its fields changed."""
    return type(record)(**{**asdict(record), **changes})


def asdict(record: object) -> dict[str, Any]:
    """The fields and their values. Values that are such records themselves stay so."""
    return {name: getattr(record, name) for name in getattr(type(record), _FIELDS)}


def _with_slots(cls: type[T]) -> type[T]:
    """The same class with places for its own fields alone: that can only be said when a class is made."""
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
