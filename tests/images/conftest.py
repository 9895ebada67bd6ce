"""The five images, built once by the command in the README."""

from __future__ import annotations

import os

import pytest

from tests.images.support import docker


@pytest.fixture(scope="session", autouse=True)
def images() -> None:
    """Run `docker buildx bake`, with CA_BUNDLE for a proxy that inspects TLS, as the README describes."""
    bundle = os.environ.get("CA_BUNDLE") or os.environ.get("SSL_CERT_FILE", "")
    docker("buildx", "bake", "--progress", "plain", environ={"CA_BUNDLE": bundle})
