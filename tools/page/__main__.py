"""Make the page of the chassis from its sources: `python -m tools.page --write`, and `--check` in CI.

The sources are for readers, and the file is what is sent: without comments, and with short names. esbuild does that
(Debian's package `esbuild`, version 0.17). The file is in the tree, since an image is built without esbuild.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from tools.names import ROOT

SOURCES = Path(__file__).parent
PAGE = ROOT / "sidecars/chassis/page/page.html"
_TARGET = "chrome123,firefox128,safari17.5"  # each has light-dark()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="write the file")
    what.add_argument("--check", action="store_true", help="fail if the file is not current")
    arguments = parser.parse_args()
    esbuild = shutil.which("esbuild")
    if esbuild is None:
        print("tools.page needs esbuild: apt-get install esbuild", file=sys.stderr)
        return 1
    made = made_page(esbuild)
    if arguments.write:
        PAGE.write_text(made)
    elif PAGE.read_text() != made:
        print(f"{PAGE.relative_to(ROOT)} is not current: make docs", file=sys.stderr)
        return 1
    return 0


def made_page(esbuild: str) -> str:
    """Return the page, made of the three sources."""
    style = _minified(esbuild, "css", (SOURCES / "style.css").read_text())
    script = _minified(esbuild, "js", f"{{{(SOURCES / 'script.js').read_text()}}}")  # in a block, names can be short
    lines = (line.strip() for line in (SOURCES / "page.html").read_text().splitlines())
    return "".join(lines).replace("style.css", style).replace("script.js", script) + "\n"


def _minified(esbuild: str, loader: str, source: str) -> str:
    command = [
        esbuild,
        "--minify",
        "--charset=utf8",
        f"--loader={loader}",
        f"--target={_TARGET}",
        "--log-level=warning",
    ]
    made = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    if made.returncode or made.stderr:
        sys.exit(f"esbuild, {loader}: {made.stderr}")
    return made.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
