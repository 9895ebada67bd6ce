"""One target under atheris: `python -m tests.fuzz.one PART NAME LONGEST [libFuzzer options] FOLDER…`."""

from __future__ import annotations

import importlib
import sys

import atheris


def main() -> None:
    part, name, longest, *options = sys.argv[1:]
    # Only the code under test is instrumented: it has to be imported for the first time in this context.
    with atheris.instrument_imports(include=["sidecars"]):
        registry = importlib.import_module("tests.fuzz.registry")
        check = registry.targets(part)[name].check
    atheris.Setup([sys.argv[0], f"-max_len={longest}", *options], check, enable_python_coverage=True)
    atheris.Fuzz()


main()
