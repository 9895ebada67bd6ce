"""What each screenshot was made from: digests of templates and pictures in `docs/pictures/screens.json`. No browser.

A template is a file that decides what a page looks like. A picture whose template has changed shows a page that nobody
will see any more, so the check fails until `make pictures` has made it anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "docs" / "pictures"
RECORD = FOLDER / "screens.json"
LIMIT = 150_000  # bytes of a picture
SCHEMES = ("light", "dark")
SIDECARS = ("ambassador", "logshipper", "adapter", "warcopier")
_PAGE = "sidecars/chassis/page/page.html"
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "demo": ("demo/page/page.html",),
    **{f"page-{name}": (_PAGE, f"sidecars/{name}/picture.py") for name in SIDECARS},
}
"""The templates of each picture."""


def path(picture: str, scheme: str) -> Path:
    return FOLDER / f"{picture}-{scheme}.png"


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write() -> None:
    """Record the templates of this moment as those of all pictures."""
    entries = {
        picture: {
            "date": datetime.now(UTC).date().isoformat(),
            "templates": {name: digest(ROOT / name) for name in templates},
            "pictures": {path(picture, scheme).name: digest(path(picture, scheme)) for scheme in SCHEMES},
        }
        for picture, templates in TEMPLATES.items()
    }
    RECORD.write_text(json.dumps(entries, indent=2) + "\n")


def problems() -> list[str]:
    """Return a sentence for each picture that is missing, too large, not the recorded one, or older than a template."""
    recorded = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    found = []
    for picture, templates in TEMPLATES.items():
        entry = recorded.get(picture, {"date": "never", "templates": {}, "pictures": {}})
        for scheme in SCHEMES:
            file = path(picture, scheme)
            if not file.is_file():
                found.append(f"{file.name} is missing")
            elif digest(file) != entry["pictures"].get(file.name):
                found.append(f"{file.name} is not the picture that was recorded")
            elif file.stat().st_size > LIMIT:
                found.append(f"{file.name} has {file.stat().st_size} bytes; {LIMIT} is the most")
        found += [
            f"{picture} is of {entry['date']}, and {name} has changed since"
            for name in templates
            if digest(ROOT / name) != entry["templates"].get(name)
        ]
    return found
