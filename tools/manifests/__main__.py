"""`python -m tools.manifests --write | --check`: the generated files below `deploy/`."""

from __future__ import annotations

import sys

from tools.manifests.files import ROOT, rendered, surplus


def main(argv: list[str]) -> int:
    if argv not in (["--write"], ["--check"]):
        print("usage: python -m tools.manifests --check | --write", file=sys.stderr)
        return 64
    stale = 0
    for name, text in rendered().items():
        path = ROOT / name
        if path.is_file() and path.read_text() == text:
            continue
        stale += 1
        if argv == ["--check"]:
            print(f"{name} is stale: run make docs", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"written: {name}")
    for name in surplus():
        stale += 1
        if argv == ["--check"]:
            print(f"{name} is rendered by nothing: run make docs", file=sys.stderr)
        else:
            (ROOT / name).unlink()
            print(f"removed: {name}")
    return 1 if stale and argv == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
