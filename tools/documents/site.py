"""The optional site: `python -m tools.documents.site` builds it into `build/site`, from the Markdown of the repository.

The pages link to READMEs all over the repository, so the tree of Markdown files is copied as it is, with the pictures
and manifests that it links to. A link to a folder becomes one to its README. A link to anything else, such as a test,
keeps its text alone. The build is strict: a page or an anchor that is missing ends it.

A page loads nothing from elsewhere: no web font, no script. (The plugin `offline` would put a script of a public server
into every page, so it is not used.) The build fails if one does.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.documents import links

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "site"
_ASSETS = frozenset({".svg", ".png", ".json", ".yaml", ".yml"})
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<text>!?\[(?:[^\]\[]|\[[^\]]*\])*\])\((?P<link>[^)\s]+)\)")
_TABLE_ROW = re.compile(r"^ *\|.*$", re.MULTILINE)
_CODE = re.compile(r"`[^`\n]+`")
_PICTURE = re.compile(r"<(?:img|source)\b[^>]*?\b(?:src|srcset)=\"([^\"]+)\"")
_LOADED = re.compile(
    r"""<(?:script|img|iframe|link rel="(?:stylesheet|preload|icon)")(?=\s)[^>]*?(?:src|href)="?(?:https?:)?//"""
)
# The slugs of headings are those of GitHub, so that one link serves both.
CONFIG = """\
site_name: sidecars
docs_dir: source
site_dir: pages
use_directory_urls: false
extra: {generator: false}
theme: {name: material, font: false}
plugins: [search]
markdown_extensions:
  - tables
  - toc:
      permalink: true
      slugify: !!python/object/apply:pymdownx.slugs.slugify {kwds: {case: lower}}
  - pymdownx.superfences
"""


def rewritten(text: str, document: Path, assets: set[Path]) -> str:
    """Return the page with the links that the site can follow. Add the other files that it links to to `assets`."""

    def link(match: re.Match[str]) -> str:
        target, _, anchor = match["link"].partition("#")
        if not target or re.match(r"[a-z][a-z0-9+.-]*:", target):
            return match[0]
        place = (document.parent / target).resolve()
        if (place / "README.md").is_file():
            target, place = f"{target.rstrip('/')}/README.md", place / "README.md"
        if place.suffix in _ASSETS and place.is_file():
            assets.add(place)
        elif place.suffix != ".md":
            return match["text"].removeprefix("!")[1:-1]
        return f"{match['text']}({target}{'#' if anchor else ''}{anchor})"

    def row(match: re.Match[str]) -> str:
        """Remove the backslash before a pipe in the code of a table: GitHub needs it, and the site would show it."""
        return _CODE.sub(lambda code: code[0].replace("\\|", "|"), match[0])

    parts = _FENCE.split(text)
    pictures = [document.parent / name for part in parts[::2] for name in _PICTURE.findall(part)]
    assets.update(place.resolve() for place in pictures if place.is_file())
    return "".join(
        part if number % 2 else _TABLE_ROW.sub(row, _LINK.sub(link, part)) for number, part in enumerate(parts)
    )


def gather(source: Path) -> None:
    """Copy the Markdown files of the repository, and what they link to, into the source folder of the site."""
    assets: set[Path] = set()
    for document in links.documents():
        page = source / document.relative_to(ROOT)
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(rewritten(document.read_text(), document, assets))
    for asset in assets:
        copy = source / asset.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(asset, copy)


def foreign(pages: Path) -> list[str]:
    """Return the pages that load something from another server."""
    return sorted(str(page) for page in pages.rglob("*.html") if _LOADED.search(page.read_text()))


def main() -> int:
    shutil.rmtree(FOLDER, ignore_errors=True)
    gather(FOLDER / "source")
    (FOLDER / "mkdocs.yml").write_text(CONFIG)
    zensical = Path(sys.prefix) / "site" / "bin" / "zensical"  # `make site` installs it
    command = [str(zensical), "build", "--strict", "--config-file", "mkdocs.yml"]
    built = subprocess.run(command, cwd=FOLDER, check=False)  # noqa: S603 - our own command
    found = foreign(FOLDER / "pages")
    for page in found:
        print(f"{page} loads something from another server", file=sys.stderr)
    if built.returncode or found:
        return 1
    print(f"open {(FOLDER / 'pages' / 'docs' / 'index.html').relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
