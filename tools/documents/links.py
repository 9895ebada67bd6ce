"""Links of the Markdown files: `python -m tools.documents.links --check`. They lead to a file and an anchor that exist.

The anchors are those of GitHub: the heading's text in lower case, without punctuation, with `-` for each blank; a
second one of the same text gets `-1`. Addresses on the network are not requested. A path that begins with `/` or leads
out of the repository is a fault, since it works on one machine only.
"""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)?$", re.MULTILINE)
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?: +\"[^\"]*\")?\)|^\[[^\]]+\]: *(\S+)", re.MULTILINE)
_HTML = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=\"([^\"]+)\"")
_NAMED = re.compile(r"<\w+\b[^>]*?\b(?:id|name)=\"([^\"]+)\"")
_FOREIGN = re.compile(r"[a-z][a-z0-9+.-]*:|//")


def documents() -> list[Path]:
    """Return the Markdown files of the repository, also those that git does not know yet."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - git, no input
    return [path for line in sorted(set(listed.stdout.splitlines())) if (path := ROOT / line).is_file()]


def slug(heading: str) -> str:
    """Return GitHub's anchor of a heading: `Exit code 0: [done](x.md)` has `exit-code-0-done`."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"<[^>]+>", "", text) if "`" not in text else text
    text = re.sub(r"[*`]|(?<!\w)_+|_+(?!\w)", "", text)
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    """Return the anchors of a document."""
    plain = _COMMENT.sub("", _FENCE.sub("", text))
    found, counts = set(_NAMED.findall(plain)), dict[str, int]()
    for heading in _HEADING.findall(plain):
        name = slug(heading)
        count = counts.get(name, 0)
        counts[name] = count + 1
        found.add(f"{name}-{count}" if count else name)
    return found


def links(text: str) -> list[str]:
    """Return the targets of all links and images, without those in code and comments."""
    plain = _CODE.sub("``", _COMMENT.sub("", _FENCE.sub("", text)))
    return [one or other for one, other in _LINK.findall(plain)] + _HTML.findall(plain)


@cache
def _anchors_of(path: Path) -> set[str]:
    return anchors(path.read_text())


def fault(document: Path, link: str, root: Path = ROOT) -> str:
    """Return why a link of the document leads nowhere; "" if it does lead somewhere, or to the network."""
    if _FOREIGN.match(link):
        return ""
    name, _, anchor = link.partition("#")
    if name.startswith("/"):
        return "begins with /"
    target = (document.parent / name).resolve() if name else document.resolve()
    if not target.is_relative_to(root.resolve()):
        return "leads out of the repository"
    if not target.exists():
        return "no such file"
    if anchor and target.suffix == ".md" and anchor not in _anchors_of(target):
        return "no such anchor"
    return ""


def faults() -> list[str]:
    """Return a line for each link that leads nowhere."""
    return [
        f"{path.relative_to(ROOT)}: {link}: {why}"
        for path in documents()
        for link in links(path.read_text())
        if (why := fault(path, link))
    ]


def main(argv: list[str]) -> int:
    if argv != ["--check"]:
        print("usage: python -m tools.documents.links --check", file=sys.stderr)
        return 64
    found = faults()
    print("\n".join(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
