"""The command line of this package: `python -m tools.release <tool> …` with one of its modules as the tool."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tools.release import debian_files, notes, publish, sbom, scan, shared_libraries

TOOLS: dict[str, Callable[[list[str]], int]] = {
    "charts": lambda argv: publish.main(["charts", *argv]),
    "debian-files": debian_files.main,
    "notes": notes.main,
    "publish": lambda argv: publish.main(["publish", *argv]),
    "sbom": sbom.main,
    "scan": scan.main,
    "shared-libraries": shared_libraries.main,
    "sign": lambda argv: publish.main(["sign", *argv]),
}


def main(argv: list[str]) -> int:
    tool = TOOLS.get(argv[0]) if argv else None
    if tool is None:
        print(f"usage: python -m tools.release {'|'.join(TOOLS)} …", file=sys.stderr)
        return 64
    return tool(argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
