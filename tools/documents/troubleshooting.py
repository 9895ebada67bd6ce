"""The codes' section of `docs/troubleshooting.md`: `python -m tools.documents.troubleshooting --check | --write`.

Each code is a heading, and so an anchor. The quotes below it are the sentences of the sources, which `--write`
renders; so are the last column of the table of exit codes, and the list of the codes by sidecar. The codes are sorted.
The text behind the quotes is written by hand: cause, how to confirm it, fix, why. `--check` fails if a code has no
heading, a heading no code, a rendered part differs, or one of the four parts is missing.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tools.documents.codes import CODE, NotAText, find, find_exit_codes, find_packages

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
BEGIN, END = "## Codes", "<!-- codes: end -->"
LIST = re.compile(r"(?<=<!-- list: rendered by `make docs` -->\n\n).*?(?=\n\n<!-- list: end -->\n)", re.DOTALL)
PARTS = ("Cause", "Confirm", "Fix", "Why")
_ENTRY = re.compile(r"^### (?P<code>.+)\n\n(?:(?P<quotes>(?:>.*\n)+)\n)?(?P<rest>(?:(?!^##).*\n)*)", re.MULTILINE)


def section(page: str) -> tuple[str, str, str]:
    """Return what is before the codes' section, the section and what is after it. Raises ValueError."""
    before, begin, rest = page.partition(f"\n{BEGIN}\n")
    entries, end, after = rest.partition(f"\n{END}\n")
    if not begin or not end:
        raise ValueError(f"{PAGE.name}: the section of the codes is missing")
    return f"{before}{begin}", entries, f"\n{end.lstrip()}{after}"


def faults(page: str, codes: dict[str, list[str]]) -> list[str]:
    """Return a sentence for each difference between the page and the codes of the sources."""
    _, entries, _ = section(page)
    found = [match["code"] for match in _ENTRY.finditer(entries)]
    parts = {
        match["code"]: re.findall(r"^- \*\*(\w+)\*\*: \S", match["rest"], re.MULTILINE)
        for match in _ENTRY.finditer(entries)
    }
    return [
        *(f"{code}: two headings" for code in sorted({one for one in found if found.count(one) > 1})),
        *(f"{code}: no heading in {PAGE.name}" for code in codes if code not in found),
        *(f"{code}: no source has this code" for code in found if code not in codes),
        *(f"{code}: not in kebab-case" for code in codes if not CODE.fullmatch(code)),
        *(f"{code}: needs {', '.join(PARTS)}" for code in found if tuple(parts[code]) != PARTS),
        *([] if rendered(page, codes) == page else [f"{PAGE.name} is stale: run make docs"]),
    ]


def rendered(page: str, codes: dict[str, list[str]]) -> str:
    """Return the page with the quotes of the sources. The quotes of a code without sentences are written by hand."""
    before, entries, after = section(page)

    def entry(match: re.Match[str]) -> str:
        quotes = "\n>\n".join(f"> {sentence}" for sentence in codes.get(match["code"], ()))
        quotes = quotes or (match["quotes"] or "").rstrip()
        return "\n\n".join(filter(None, (f"### {match['code']}", quotes, match["rest"].rstrip()))) + "\n\n"

    entries = entries.strip("\n") + "\n"
    first = next(_ENTRY.finditer(entries)).start()
    text = "".join(entry(one) for one in sorted(_ENTRY.finditer(entries), key=lambda one: one["code"])).rstrip("\n")
    return f"{_exit_codes(before)}\n{LIST.sub(lambda _: _list(), entries[:first])}{text}\n{after}"


def _list() -> str:
    """Return the table of the codes by sidecar, as links. Those of the chassis are codes of every sidecar."""
    packages = dict(find_packages())
    common, packages["sidecars-top"] = packages.pop("chassis"), packages.pop("top")
    own = {name: [code for code in codes if code not in common] for name, codes in packages.items()}
    groups = {"every sidecar": common, **own}
    rows = [f"| {name} | {', '.join(f'[{code}](#{code})' for code in codes)} |" for name, codes in groups.items()]
    return "\n".join(("| of | codes |", "|---|---|", *rows))


def _exit_codes(text: str) -> str:
    """Return the text with the codes in the table of exit codes: the last column, as links."""
    for exit_code, codes in find_exit_codes().items():
        links = ", ".join(f"[{code}](#{code})" for code in codes)
        text = re.sub(rf"^(\| {exit_code} \|[^|]*\|) .* \|$", rf"\1 {links} |", text, flags=re.MULTILINE)
    return text


def main(argv: list[str]) -> int:
    try:
        codes = find()
    except NotAText as error:
        print(error, file=sys.stderr)
        return 1
    page = PAGE.read_text()
    if argv == ["--write"]:
        PAGE.write_text(rendered(page, codes))
    elif argv == ["--check"]:
        print("\n".join(found := faults(page, codes)), file=sys.stderr)
        return 1 if found else 0
    else:
        print("usage: python -m tools.documents.troubleshooting --check | --write", file=sys.stderr)
        return 64
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
