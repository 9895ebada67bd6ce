"""Make the screenshots of the docs: `python -m tools.screens [--check]`. It takes about two minutes.

`--check` makes none, and needs no browser: it fails if a picture is missing, too large, or older than its template.
"""

from __future__ import annotations

import sys

from tools.screens import record


def main(argv: list[str]) -> int:
    if argv not in ([], ["--check"]):
        print("usage: python -m tools.screens [--check]", file=sys.stderr)
        return 64
    if not argv:
        from tools.screens import shots  # noqa: PLC0415 - imports Playwright, which make check does not install

        shots.take_all()
        record.write()
    for problem in (found := record.problems()):
        print(f"docs/pictures: {problem}: run make pictures", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
