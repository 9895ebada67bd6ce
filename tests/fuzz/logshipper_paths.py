"""Targets of the names of files, which a neighbour may choose."""

from __future__ import annotations

import os

from sidecars.logshipper.transform.parsing.path_fields import PathFields
from tests.fuzz.registry import target


@target("logshipper.transform.parsing.path_fields", reach=85)
def fields_of_paths(data: bytes) -> None:
    """A template is refused with a sentence, or a path has one reading: its fields in the template are the path."""
    template, _, rest = data.decode(errors="replace").partition("\n")
    try:
        fields = PathFields(template)
    except ValueError as error:
        assert str(error)
        return
    fields.fits(template.replace("{", "*").replace("}", "*"))
    for name in rest.encode(errors="replace").split(b"\n"):
        path = os.fsdecode(name)
        found = fields.of(path)
        assert fields.of(path) == found
        for value in found.values():
            assert value
            assert "/" not in value
            value.encode()
        assert not found or found.keys() == set(fields.names)
        if found and template != "kubernetes" and "*" not in template and path.isascii():
            written = template
            for field, value in found.items():
                written = written.replace(f"{{{field}}}", value, 1) if "{" not in value else path
            assert written == path
