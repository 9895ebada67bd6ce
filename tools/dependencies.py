"""The table of `docs/explanation/dependencies.md`, from `pyproject.toml`: `python -m tools.dependencies`.

`--write` renders the table anew. `--check` fails if it differs from `pyproject.toml`.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "explanation" / "dependencies.md"
BEGIN = "<!-- dependencies: rendered by `make docs` from pyproject.toml; do not edit -->"
END = "<!-- dependencies: end -->"
LINE = re.compile(r'^    "(?P<requirement>[^"]+)",\s*# (?P<reason>.+)$')


def reasons(text: str) -> dict[str, dict[str, str]]:
    """Return, for each package of an extra in the text of a `pyproject.toml`, the reason of each extra that has it."""
    found: dict[str, dict[str, str]] = {}
    for extra in tomllib.loads(text)["project"]["optional-dependencies"]:
        block = re.search(rf"^{extra} = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
        for line in block[1].splitlines() if block else ():
            if match := LINE.match(line):
                found.setdefault(re.split("[<>=]", match["requirement"])[0], {})[extra] = match["reason"]
    return found


def table(text: str) -> str:
    """Return the Markdown table: package, the extras that install it, and why."""
    lines = ["| package | installed by | why |", "|---|---|---|"]
    for package, by_extra in sorted(reasons(text).items()):
        one, *others = set(by_extra.values())
        why = "; ".join(f"{extra}: {reason}" for extra, reason in by_extra.items()) if others else one
        lines.append(f"| `{package}` | {', '.join(by_extra)} | {why} |")
    return "\n".join(lines)


def rendered(page: str, text: str) -> str:
    """Return the page with the table in its place. Raises ValueError if the page has no such place."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name}: the two marker comments of the table are missing")
    return f"{before}{BEGIN}\n\n{table(text)}\n\n{END}{after}"


def main(argv: list[str]) -> int:
    text, page = (ROOT / "pyproject.toml").read_text(), PAGE.read_text()
    if argv == ["--write"]:
        PAGE.write_text(rendered(page, text))
    elif argv == ["--check"] and rendered(page, text) != page:
        print(f"{PAGE.relative_to(ROOT)} is stale: run make docs", file=sys.stderr)
        return 1
    elif argv != ["--check"]:
        print("usage: python -m tools.dependencies --check | --write", file=sys.stderr)
        return 64
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
