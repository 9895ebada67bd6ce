"""The sentences about settings of the ambassador that are refused."""

from __future__ import annotations

import pytest

from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import SettingsError, load


def problems(**environ: str) -> list[str]:
    """Return the sentences about these variables."""
    with pytest.raises(SettingsError) as caught:
        load(Settings, environ)
    return caught.value.problems


def problems_of(**settings: str) -> list[str]:
    """Return the sentences about these settings, which are named without their prefix."""
    return problems(**{f"AMBASSADOR_{name}": value for name, value in settings.items()})
