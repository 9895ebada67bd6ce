"""The program: `python -m sidecars.warcopier`, or the command `sidecars-warcopier`."""

from __future__ import annotations

import sys

from sidecars.chassis import commandline
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier.settings import Settings

if TYPE_CHECKING:
    from sidecars.chassis.config.memory_ledger import MemoryLedger
    from sidecars.chassis.runtime.lifecycle import ServiceContext


def run(settings: Settings) -> None:
    from sidecars.warcopier import app  # noqa: PLC0415 - loaded only after the settings are valid

    app.run(settings)


async def watch(settings: Settings, context: ServiceContext) -> None:
    from sidecars.warcopier.watch import watcher  # noqa: PLC0415 - loaded only with WARCOPIER_WATCH

    await watcher.run(settings, context)


def memory(settings: Settings) -> MemoryLedger:
    from sidecars.warcopier.memory import ledger  # noqa: PLC0415 - only for --check

    return ledger(settings)


def main() -> int:
    return commandline.job_or_service(Settings, run, watch, lambda settings: settings.watch, memory)


if __name__ == "__main__":
    sys.exit(main())
