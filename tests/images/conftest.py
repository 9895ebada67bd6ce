"""The five images, built once by the command in the README."""

from __future__ import annotations

import pytest

from tests.images.support import docker


@pytest.fixture(scope="session", autouse=True)
def images() -> None:
    """Run `docker buildx bake`."""
    docker("buildx", "bake", "--progress", "plain")
