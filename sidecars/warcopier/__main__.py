"""`python -m sidecars.warcopier`."""

from __future__ import annotations

import sys

from chassis import commandline
from sidecars.warcopier.settings import Settings


def run(settings: Settings) -> None:
    from sidecars.warcopier import app  # noqa: PLC0415 - only once the settings are known to be good

    app.run(settings)


if __name__ == "__main__":
    sys.exit(commandline.job(Settings, run))
