"""Replaces a part of the sidecars by a faulty one."""

from __future__ import annotations

from typing import Any


def replace(owner: Any, name: str, fault: Any) -> None:
    """Put the fault in the place of what has this name."""
    assert hasattr(owner, name), f"{owner} has no {name}: give the mutant its new place"
    setattr(owner, name, fault)
