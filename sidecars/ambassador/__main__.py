"""The program: `python -m sidecars.ambassador`, or the command `sidecars-ambassador`."""

from __future__ import annotations

import sys

from sidecars.ambassador.settings import Settings
from sidecars.chassis import commandline
from sidecars.chassis.runtime.lifecycle import ServiceContext
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecars.chassis.config.memory_ledger import MemoryLedger


async def run(settings: Settings, context: ServiceContext) -> None:
    from sidecars.ambassador.app import serve  # noqa: PLC0415 - heavy, and needed only with valid settings

    await serve(settings, context)


def memory(settings: Settings) -> MemoryLedger:
    from sidecars.ambassador.memory import ledger  # noqa: PLC0415 - only for --check

    return ledger(settings)


def main() -> int:
    return commandline.service(Settings, run, memory)


if __name__ == "__main__":
    sys.exit(main())
