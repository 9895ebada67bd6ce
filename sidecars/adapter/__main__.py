"""The program: `python -m sidecars.adapter`, or the command `sidecars-adapter`."""

from __future__ import annotations

import sys

from sidecars.adapter.settings import Settings
from sidecars.chassis import commandline
from sidecars.chassis.runtime.lifecycle import ServiceContext


async def run(settings: Settings, context: ServiceContext) -> None:
    from sidecars.adapter import app  # noqa: PLC0415 - heavy; only once the settings are known to be good

    await app.run(settings, context)


def main() -> int:
    return commandline.service(Settings, run)


if __name__ == "__main__":
    sys.exit(main())
