"""The five images, built once by the command that the README gives."""

from __future__ import annotations

import os

import pytest

from tests.images.support import docker


@pytest.fixture(scope="session", autouse=True)
def images() -> None:
    """`docker buildx bake`; a proxy that inspects TLS is passed on as the README says, by CA_BUNDLE."""
    bundle = os.environ.get("CA_BUNDLE") or os.environ.get("SSL_CERT_FILE", "")
    docker("buildx", "bake", "--progress", "plain", environ={"CA_BUNDLE": bundle})
