"""Make the page of the chassis from its sources: `python -m tools.page --write`, and `--check` in CI.

The sources are for readers, and the file is what is sent: without comments, and with short names. esbuild does that.
The file is in the tree, since an image is built without esbuild. `sums.txt` has the checksums of the sources and of the
file (`sha256sum --check tools/page/sums.txt`). So only a change needs esbuild, and it must be the one of Debian 12:
another version makes another file of the same sources. Where that one is installed, `--check` makes the file again and
compares.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tools.names import ROOT

SOURCES = Path(__file__).parent
PAGE = ROOT / "sidecars/chassis/page/page.html"
SUMS = SOURCES / "sums.txt"
VERSION = "0.17.0"  # of esbuild
_TARGET = "chrome123,firefox128,safari17.5"  # each has light-dark()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="write the file if a source has changed")
    what.add_argument("--check", action="store_true", help="fail if the file is not current")
    arguments = parser.parse_args()
    is_current = SUMS.exists() and SUMS.read_text() == sums()
    esbuild = _esbuild()
    if arguments.check:
        if is_current and (esbuild is None or PAGE.read_text() == made_page(esbuild)):
            return 0
        print(f"{PAGE.relative_to(ROOT)} is not current: make docs", file=sys.stderr)
        return 1
    if esbuild is not None:
        PAGE.write_text(made_page(esbuild))
        SUMS.write_text(sums())
    elif not is_current:
        print(f"tools.page needs esbuild {VERSION}: apt-get install esbuild, on Debian 12", file=sys.stderr)
        return 1
    return 0


def sums() -> str:
    """Return the checksums of the sources and of the page as they are."""
    files = [*sorted(SOURCES / name for name in ("page.html", "script.js", "style.css")), PAGE]
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT)}\n" for path in files)


def made_page(esbuild: str) -> str:
    """Return the page, made of the three sources."""
    style = _minified(esbuild, "css", (SOURCES / "style.css").read_text())
    script = _minified(esbuild, "js", f"{{{(SOURCES / 'script.js').read_text()}}}")  # in a block, names can be short
    lines = (line.strip() for line in (SOURCES / "page.html").read_text().splitlines())
    return "".join(lines).replace("style.css", style).replace("script.js", script) + "\n"


def _esbuild() -> str | None:
    """Return the path of the right esbuild, or None if it is not installed."""
    found = shutil.which("esbuild")
    if (
        found
        and subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.strip() == VERSION
    ):
        return found
    return None


def _minified(esbuild: str, loader: str, source: str) -> str:
    options = ["--minify", "--charset=utf8", f"--loader={loader}", f"--target={_TARGET}", "--log-level=warning"]
    made = subprocess.run([esbuild, *options], input=source, capture_output=True, text=True, check=False)
    if made.returncode or made.stderr:
        sys.exit(f"esbuild, {loader}: {made.stderr}")
    return made.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
