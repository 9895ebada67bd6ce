"""The settings tables of the READMEs, rendered from the declarations.

`python -m sidecars.chassis.settings_tables [--check | --write]`: each `sidecars/<name>/README.md` has a table between
two marker comments. `--write` renders it again. `--check` fails if it differs from the declaration. Without an argument
all tables are printed.

A setting in a table links to the section of `docs/` that explains it. The section says so below its heading:

    ## The end

    <!-- explains: DRAIN_QUIET, DONE_FILE -->

In `docs/reference/<sidecar>/` these are settings of that sidecar, elsewhere those of any sidecar that has them.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from sidecars.chassis import streams
from sidecars.chassis.config.help_text import format_default, group_names
from sidecars.chassis.config.settings import Settings, specs

ROOT = Path(__file__).resolve().parents[2]
BEGIN = "<!-- settings: rendered by `make docs` from settings.py; do not edit -->"
END = "<!-- settings: end -->"
_EXPLAINS = re.compile(r"^#+ (?P<heading>.+)\n\n<!-- explains: (?P<names>.+) -->$", re.MULTILINE)


def explanations(root: Path = ROOT) -> Iterator[tuple[str, str, str]]:
    """Yield the sidecar ("" for all), the name and the page with its anchor for each setting that a page explains."""
    for page in sorted((root / "docs").rglob("*.md")):
        sidecar = page.parent.name if page.parent.parent.name == "reference" else ""
        for found in _EXPLAINS.finditer(page.read_text()):
            anchor = re.sub(r"[^\w\- ]", "", found["heading"].lower()).replace(" ", "-")  # that of GitHub
            for name in found["names"].split(", "):
                yield sidecar, name, f"{page.relative_to(root)}#{anchor}"


def links(readme: Path, cls: type[Settings], root: Path = ROOT) -> dict[str, str]:
    """Return the link to its explanation for each variable that has one; that of the sidecar's own pages goes first."""
    names = {spec.variable.removeprefix(f"{cls.PREFIX}_"): spec.variable for spec in specs(cls)}
    mine = [one for one in explanations(root) if one[0] in ("", readme.parent.name) and one[1] in names]
    return {
        names[name]: os.path.relpath(root / place, readme.parent)
        for _, name, place in sorted(mine, key=lambda one: one[0])
    }


def table(cls: type[Settings], pages: Mapping[str, str] | None = None) -> str:
    """Return the Markdown table of a sidecar's settings, with a link for each variable that has one."""
    pages = pages or {}
    lines = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for spec in specs(cls):
        default = f"`{spec.default}`" if spec.default else format_default(spec)
        name = f"{spec.variable} ⁺" if spec.group else spec.variable
        shown = f"`{spec.variable}`"
        if spec.variable in pages:
            shown = f"[{shown}]({pages[spec.variable]})"
        cells = (f"{shown}{name.removeprefix(spec.variable)}", spec.type.name, default, spec.help)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    grouped = [spec for spec in specs(cls) if spec.group]
    if grouped:
        example = grouped[0].named(cls.PREFIX, "orders")
        several = f"⁺ There can be several {group_names(grouped)}"
        lines += ["", f"{several}: these variables may have the name of one after the prefix, such as `{example}`."]
    return "\n".join(lines)


def rendered(readme: str, cls: type[Settings], pages: Mapping[str, str] | None = None) -> str:
    """Return the README's text with the table between its markers. Raises ValueError if it has no markers."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the two marker comments of the settings table are missing")
    return f"{before}{BEGIN}\n\n{table(cls, pages)}\n\n{END}{after}"


def sidecars(root: Path = ROOT) -> Iterator[tuple[Path, type[Settings]]]:
    """Yield the README and the settings class of every sidecar."""
    for folder in sorted((root / "sidecars").iterdir()):
        if (folder / "settings.py").exists():
            module = importlib.import_module(f"sidecars.{folder.name}.settings")
            yield folder / "README.md", module.Settings


def main(argv: list[str]) -> int:
    if argv not in ([], ["--check"], ["--write"]):
        print("usage: python -m sidecars.chassis.settings_tables [--check | --write]", file=sys.stderr)
        return 64
    problems = []
    for readme, cls in sidecars():
        if argv:
            problems += _render(readme, cls, write=argv == ["--write"])
        else:
            print(f"## {readme.parent.name}\n\n{table(cls)}\n")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _render(readme: Path, cls: type[Settings], *, write: bool) -> list[str]:
    """Compare one README's table with its declaration; with `write`, render it. Return a sentence for each problem."""
    name = readme.relative_to(readme.parents[2])
    try:
        old = readme.read_text()
        new = rendered(old, cls, links(readme, cls))
    except (OSError, ValueError) as error:
        return [f"{name}: {error.strerror if isinstance(error, OSError) else error}"]
    if new == old:
        return []
    if not write:
        return [f"{name}: its settings table differs from settings.py; `make docs` renders it anew"]
    readme.write_text(new)
    print(f"written: {name}")
    return []


if __name__ == "__main__":
    sys.exit(streams.run_command(lambda: main(sys.argv[1:])))
