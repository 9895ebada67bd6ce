"""Write expositions as one page, in the format that was negotiated. No I/O.

A page is made in three steps:

1. Each family of each exposition becomes one family of the target format, or several (`conversion`).
2. Families of one name are merged.
3. Families that clash, or that break the target's rules, lose their type: their samples stay, each name as a family of
   unknown type.

So no series is lost or renamed because of another app, and the page is always valid. Families that contradict
themselves are left out (`page_faults`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sidecars.adapter.exposition.cancellation import Checkpoint, never_cancelled
from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.metadata import SUFFIXES
from sidecars.adapter.exposition.page_faults import MalformedPage
from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.rendering.conversion import FamilyConverter, OutputFamily
from sidecars.adapter.rendering.escaping import is_legacy_name, quote_name
from sidecars.adapter.rendering.negotiation import ExpositionFormat

LabelledExposition = tuple[Mapping[str, str], Exposition]
"""Target labels, which all series get (such as `app="orders"`), and the exposition."""


def render_metrics(
    parts: Sequence[LabelledExposition], target: ExpositionFormat, checkpoint: Checkpoint = never_cancelled
) -> bytes:
    """Write all parts as one page.

    A label of a series that has a target label's name becomes `exported_<name>`, as in Prometheus. Families of one name
    become one, with one TYPE and HELP. Parts that may have series in common must differ in their target labels.

    `checkpoint` is called between the blocks of the pages; an exception that it raises ends the writing.
    """
    if len(parts) == 1 and not parts[0][0] and _is_in_format(parts[0][1], target):
        return parts[0][1].page
    families = [family for part in parts for family in _convert(part, target, checkpoint)]
    pieces: list[bytes] = []
    checkpoint()
    for family in _merge(families, target):
        pieces.append(_metadata(family, target))
        pieces.extend(line for _, line in family.lines)
    if target.openmetrics:
        pieces.append(b"# EOF\n")
    return b"".join(pieces)


def _is_in_format(exposition: Exposition, target: ExpositionFormat) -> bool:
    """True if the page can be handed on byte for byte."""
    if exposition.openmetrics != target.openmetrics or exposition.must_be_rewritten:
        return False
    if target.escaping == "allow-utf-8":
        return True
    return target.escaping != "dots" and not exposition.quoted_names


def _convert(part: LabelledExposition, target: ExpositionFormat, checkpoint: Checkpoint) -> list[OutputFamily]:
    target_labels, exposition = part
    converter = FamilyConverter(exposition, target_labels, target, checkpoint)
    openmetrics = target.openmetrics
    found: list[OutputFamily] = []
    for family in exposition.families.values():
        for output in converter.convert(family):
            valid = _is_valid(output, exposition, target)
            found += [output] if valid else output.split_untyped(openmetrics=openmetrics)
    return found


def _is_valid(family: OutputFamily, exposition: Exposition, target: ExpositionFormat) -> bool:
    """True if the family keeps the rules of OpenMetrics, which are stricter than those of text."""
    if not target.openmetrics or exposition.openmetrics or family.type in ("gauge", "unknown"):
        return True
    page = b"".join([_metadata(family, target), *(line for _, line in family.lines), b"# EOF\n"])
    try:
        parsed = parse_page(page, target.content_type, exposition.sample_count)
    except MalformedPage:
        return False
    return not (parsed.dropped or parsed.faults)


def _merge(families: list[OutputFamily], target: ExpositionFormat) -> list[OutputFamily]:
    """Merge families of one name. Split those that clash, until none does."""
    while True:
        merged: dict[str, OutputFamily] = {}
        clashing: set[str] = set()
        for family in families:
            known = merged.get(family.name)
            if known is None:
                merged[family.name] = family.copy()
            elif known.type != family.type:
                clashing.add(family.name)
            else:
                known.merge(family)
        clashing |= _clashing_names(merged, target)
        if not clashing:
            return list(merged.values())
        families = [
            one
            for family in families
            for one in (family.split_untyped(openmetrics=target.openmetrics) if family.name in clashing else [family])
        ]


def _clashing_names(merged: Mapping[str, OutputFamily], target: ExpositionFormat) -> set[str]:
    """Return the typed families that share a sample's name with another family.

    In OpenMetrics a family owns all names that its type allows.
    """
    owners: dict[str, set[str]] = {}
    for name, family in merged.items():
        for sample_name in family.sample_names() | {name}:
            owners.setdefault(sample_name, set()).add(name)
    clashing: set[str] = set()
    for name, family in merged.items():
        own = family.sample_names() | {name}
        if target.openmetrics:
            own |= {name + suffix.decode() for suffix in SUFFIXES[True][family.type]}
        if any(owners.get(sample_name, {name}) != {name} for sample_name in own) and family.is_typed():
            clashing.add(name)
    return clashing


def _metadata(family: OutputFamily, target: ExpositionFormat) -> bytes:
    name = family.name if is_legacy_name(family.name) else quote_name(family.name)
    lines = [f"# TYPE {name} {family.type}\n"]
    if target.openmetrics and family.unit and family.name.endswith(f"_{family.unit}"):
        lines.append(f"# UNIT {name} {family.unit}\n")
    if family.help:
        text = family.help.replace("\\", r"\\").replace("\n", r"\n")
        if target.openmetrics:
            text = text.replace('"', r"\"")
        lines.append(f"# HELP {name} {text}\n")
    return "".join(lines).encode()
