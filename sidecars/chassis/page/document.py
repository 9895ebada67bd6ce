"""The HTML file of the page: the chassis' part, the sidecar's picture, and the status of now.

`page.html` is made of the sources in tools/page. Its style and its script alone are allowed (`policy`): a picture and a
status are data, in a block that is no script.
"""

from __future__ import annotations

import json
import pkgutil
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from typing import Any

from sidecars.chassis.page import policy
from sidecars.chassis.page.outline import PROCESS, graded, outline, sentence, why
from sidecars.chassis.page.picture import STATES, Picture

_HOLE = re.compile(r"@(\w+)@")


def html(picture: Picture | None, status_text: str, path: str, *, siblings: bool = False) -> bytes:
    """Return the page. `status_text` is the JSON of `/status` without a secret; `path` is the one that was asked for.

    `siblings` is True if `/siblings` answers.
    """
    picture = picture or Picture()
    status: Mapping[str, Any] = json.loads(status_text)
    data = {
        "path": path,
        "siblings": siblings,
        "states": {name: "|".join(words) for name, words in STATES.items()},
        "process": PROCESS,
        "picture": picture.as_json(),
        "status": status,
    }
    filled = {
        "name": escape(str(status.get("name", ""))),
        "version": escape(str(status.get("version", ""))),
        "state": graded(str(status.get("state", "")), sentence(status)),
        "why": escape(why(status)),
        "outline": outline(picture, status),
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),  # ends no block, begins no comment
    }
    return _HOLE.sub(lambda hole: filled[hole[1]], template()).encode(errors="backslashreplace")


@cache
def template() -> str:
    """Return `page.html`, which has holes for the parts that differ between pages."""
    return (pkgutil.get_data(__package__ or "", "page.html") or b"").decode()


@cache
def headers() -> Mapping[str, str]:
    """Return the header fields of the page, but for those of every response."""
    return policy.headers(template())
