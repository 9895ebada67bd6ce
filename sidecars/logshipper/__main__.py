"""`python -m sidecars.logshipper`."""

from __future__ import annotations

import sys

from sidecars.chassis import commandline
from sidecars.chassis.runtime.lifecycle import Life
from sidecars.logshipper.settings import Settings


async def run(settings: Settings, life: Life) -> None:
    from sidecars.logshipper import app  # noqa: PLC0415 - heavy imports only once the settings are right

    await app.run(settings, life)


if __name__ == "__main__":
    sys.exit(commandline.service(Settings, run))
