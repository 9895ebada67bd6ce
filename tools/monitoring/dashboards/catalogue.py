"""All dashboards, by the name of their file."""

from __future__ import annotations

from tools.monitoring.dashboards.adapter import ADAPTER
from tools.monitoring.dashboards.ambassador import AMBASSADOR
from tools.monitoring.dashboards.logshipper import LOGSHIPPER
from tools.monitoring.dashboards.overview import OVERVIEW
from tools.monitoring.dashboards.panels import Dashboard
from tools.monitoring.dashboards.warcopier import WARCOPIER

DASHBOARDS: dict[str, Dashboard] = {
    "overview": OVERVIEW,
    "warcopier": WARCOPIER,
    "logshipper": LOGSHIPPER,
    "ambassador": AMBASSADOR,
    "adapter": ADAPTER,
}
