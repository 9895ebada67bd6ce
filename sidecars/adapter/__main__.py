"""The program: `python -m sidecars.adapter`, or the command `sidecars-adapter`."""

from __future__ import annotations

import sys

from sidecars.adapter.settings import Settings
from sidecars.chassis import commandline
from sidecars.chassis.runtime.lifecycle import ServiceContext
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecars.chassis.config.memory_ledger import MemoryLedger


async def run(settings: Settings, context: ServiceContext) -> None:
    from sidecars.adapter import app  # noqa: PLC0415 - heavy; only once the settings are known to be good

    await app.run(settings, context)


def memory(settings: Settings) -> MemoryLedger:
    from sidecars.adapter.memory import ledger  # noqa: PLC0415 - only for --check

    return ledger(settings)


def main() -> int:
    return commandline.service(Settings, run, memory)


if __name__ == "__main__":
    sys.exit(main())
