"""The program: `python -m sidecars.logshipper`, or the command `sidecars-logshipper`."""

from __future__ import annotations

import sys

from sidecars.chassis import commandline
from sidecars.chassis.runtime.lifecycle import ServiceContext
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.logshipper.settings import Settings

if TYPE_CHECKING:
    from sidecars.chassis.config.memory_ledger import MemoryLedger


async def run(settings: Settings, context: ServiceContext) -> None:
    from sidecars.logshipper import app  # noqa: PLC0415 - heavy imports only once the settings are right

    await app.run(settings, context)


def memory(settings: Settings) -> MemoryLedger:
    from sidecars.logshipper.memory import ledger  # noqa: PLC0415 - only for --check

    return ledger(settings)


def main() -> int:
    return commandline.service(Settings, run, memory)


if __name__ == "__main__":
    sys.exit(main())
