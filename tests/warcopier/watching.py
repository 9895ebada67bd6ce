"""Helpers for tests of WARCOPIER_WATCH."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support import Program, get, wait_until
from tests.warcopier.support import Copier, deployed, sha256, war

ONE, TWO, THREE = war("version one"), war("version two"), war("version three")
SOON = {"WARCOPIER_WATCH_INTERVAL": "100ms"}
SELDOM = {"WARCOPIER_WATCH_INTERVAL": "1h"}  # so that only inotify can cause an event


class Watcher:
    """A copier that watches, with its admin port."""

    def __init__(self, copier: Copier, program: Program, port: int) -> None:
        self.copier = copier
        self.program = program
        self._url = f"http://127.0.0.1:{port}"
        self.port = port

    def get(self, path: str) -> httpx.Response:
        return get(self._url + path)

    def wait_ready(self) -> None:
        self.program.wait_ready(self.port)

    def wait_deployed(self, **wars: bytes) -> None:
        expected = {f"{name}.war": sha256(data) for name, data in wars.items()}

        def there() -> bool:
            assert self.program.process.poll() is None, self.program.stderr
            return deployed(self.copier.target) == expected

        wait_until(there, f"{list(wars)} published; {self.program.stderr}")

    def metrics(self) -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(self.get("/metrics").text)
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
            if sample.name.startswith("warcopier")
        }


Watch = Callable[..., Watcher]


def by_rename(copier: Copier, data: bytes) -> None:
    (copier.source / "new").write_bytes(data)
    (copier.source / "new").rename(copier.source / "shop.war")
