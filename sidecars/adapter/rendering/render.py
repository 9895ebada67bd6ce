"""Writing expositions: one app's, or several apps' as one page, in the format that was negotiated. No I/O.

A page is made in three steps. Each family of each part becomes one family of the target format, or several
(`convert`); families of one name are put together; and what cannot stand beside each other, or does not keep the
target's rules, loses its type: its samples stay, each name as a family of unknown type. So no series is lost or renamed
by what another app exposes, and the page is always valid. Families that contradict themselves are left out (`faults`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sidecars.adapter.exposition.cancellation import Checkpoint, never_cancelled
from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.metadata import SUFFIXES
from sidecars.adapter.exposition.page_faults import MalformedPage
from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.rendering.conversion import Block, Converter
from sidecars.adapter.rendering.escaping import is_old, quoted
from sidecars.adapter.rendering.negotiation import ExpositionFormat

LabelledExposition = tuple[Mapping[str, str], Exposition]
"""An exposition, and the labels that its series get, such as `app="orders"`."""


def render_metrics(
    parts: Sequence[LabelledExposition], target: ExpositionFormat, checkpoint: Checkpoint = never_cancelled
) -> bytes:
    """One page of all parts. `proceed` is called now and then; what it raises ends the writing.

    A label that a series has already is kept as `exported_<name>`, as Prometheus does. Families of one name become one,
    with one TYPE and HELP. Parts that may have series in common must be told apart by their labels.
    """
    if len(parts) == 1 and not parts[0][0] and _is_written_so(parts[0][1], target):
        return parts[0][1].page
    blocks = [block for part in parts for block in _blocks(part, target, checkpoint)]
    pieces: list[bytes] = []
    checkpoint()
    for block in _together(blocks, target):
        pieces.append(_metadata(block, target))
        pieces.extend(line for _, line in block.lines)
    if target.openmetrics:
        pieces.append(b"# EOF\n")
    return b"".join(pieces)


def _is_written_so(exposition: Exposition, target: ExpositionFormat) -> bool:
    """True if the page can be handed on as it is."""
    if exposition.openmetrics != target.openmetrics or exposition.must_be_rewritten:
        return False
    if target.escaping == "allow-utf-8":
        return True
    return target.escaping != "dots" and not exposition.quoted_names


def _blocks(part: LabelledExposition, target: ExpositionFormat, checkpoint: Checkpoint) -> list[Block]:
    added, exposition = part
    converter = Converter(exposition, added, target, checkpoint)
    found: list[Block] = []
    for family in exposition.families.values():
        for block in converter.blocks(family):
            found += [block] if _is_valid(block, exposition, target) else block.untyped(target.openmetrics)
    return found


def _is_valid(block: Block, exposition: Exposition, target: ExpositionFormat) -> bool:
    """Whether OpenMetrics takes what text has let pass."""
    if not target.openmetrics or exposition.openmetrics or block.kind in ("gauge", "unknown"):
        return True
    page = b"".join([_metadata(block, target), *(line for _, line in block.lines), b"# EOF\n"])
    try:
        read = parse_page(page, target.content_type, exposition.series)
    except MalformedPage:
        return False
    return not (read.dropped or read.faults)


def _together(blocks: list[Block], target: ExpositionFormat) -> list[Block]:
    """One block for each family, none in the way of another."""
    while True:
        merged: dict[str, Block] = {}
        clashing: set[str] = set()
        for block in blocks:
            known = merged.get(block.name)
            if known is None:
                merged[block.name] = block.copy()
            elif known.kind != block.kind:
                clashing.add(block.name)
            else:
                known.add(block)
        clashing |= _in_the_way(merged, target)
        if not clashing:
            return list(merged.values())
        blocks = [
            one
            for block in blocks
            for one in (block.untyped(target.openmetrics) if block.name in clashing else [block])
        ]


def _in_the_way(merged: Mapping[str, Block], target: ExpositionFormat) -> set[str]:
    """Typed families one of whose names is another's, too. In OpenMetrics that are all names which they could have."""
    owners: dict[str, set[str]] = {}
    for name, block in merged.items():
        for sample in block.samples() | {name}:
            owners.setdefault(sample, set()).add(name)
    clashing: set[str] = set()
    for name, block in merged.items():
        own = block.samples() | {name}
        if target.openmetrics:
            own |= {name + suffix.decode() for suffix in SUFFIXES[True][block.kind]}
        if any(owners.get(sample, {name}) != {name} for sample in own) and block.is_typed():
            clashing.add(name)
    return clashing


def _metadata(block: Block, target: ExpositionFormat) -> bytes:
    name = block.name if is_old(block.name) else quoted(block.name)
    lines = [f"# TYPE {name} {block.kind}\n"]
    if target.openmetrics and block.unit and block.name.endswith(f"_{block.unit}"):
        lines.append(f"# UNIT {name} {block.unit}\n")
    if block.help:
        text = block.help.replace("\\", r"\\").replace("\n", r"\n")
        if target.openmetrics:
            text = text.replace('"', r"\"")
        lines.append(f"# HELP {name} {text}\n")
    return "".join(lines).encode()
