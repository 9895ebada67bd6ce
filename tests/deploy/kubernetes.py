"""Manifests against the published schemas of Kubernetes, strictly. Each schema is read once."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped] # it ships no types
from kubernetes_validate import utils

VERSIONS = [f"1.{minor}" for minor in range(29, 38)]
"""From the first version whose native sidecars are on to the newest that has schemas."""

_read = cache(utils.schema_contents)


@cache
def _judged(document: str, version: str) -> None:
    before, utils.schema_contents = utils.schema_contents, _read
    try:
        kubernetes_validate.validate(json.loads(document), version, strict=True)
    finally:
        utils.schema_contents = before


def accepts(documents: list[dict[str, Any]], versions: list[str] = VERSIONS) -> None:
    """Raise kubernetes_validate.ValidationError if one of these versions does not accept one of the documents."""
    for document in documents:
        for version in versions:
            _judged(json.dumps(document, sort_keys=True), version)
