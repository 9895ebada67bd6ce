"""The program: `python -m sidecars.logshipper`, or the command `sidecars-logshipper`."""

from __future__ import annotations

import sys

from sidecars.chassis import commandline
from sidecars.chassis.runtime.lifecycle import ServiceContext
from sidecars.logshipper.settings import Settings


async def run(settings: Settings, context: ServiceContext) -> None:
    from sidecars.logshipper import app  # noqa: PLC0415 - heavy imports only once the settings are right

    await app.run(settings, context)


def main() -> int:
    return commandline.service(Settings, run)


if __name__ == "__main__":
    sys.exit(main())
