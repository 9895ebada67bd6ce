"""The root file system of an image as files of the test. The engine exports any machine's image, and runs nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.images.support import docker


def export(image: str, folder: Path, *options: str) -> Path:
    """Unpack an image into the folder, without what the engine adds to a container, and return the folder."""
    container = docker("create", *options, image, "x").strip()
    try:
        unpack = 'docker export "$1" | tar -x -C "$2" --exclude dev --exclude proc --exclude sys --exclude .dockerenv'
        subprocess.run(["bash", "-o", "pipefail", "-c", unpack, "bash", container, folder], check=True)
    finally:
        docker("rm", container)
    return folder


# Imports each module of the standard library, of the installed packages and of the sidecar. Its input are the packages
# that must be compiled; its argument is the sidecar's name.
IMPORTS = """
import importlib, importlib.metadata, pkgutil, sys
import sidecars
names = {name for name in sys.stdlib_module_names if importlib.util.find_spec(name)}
files = [str(file) for found in importlib.metadata.distributions() for file in found.files or ()]
installed = {file.split("/")[0].split(".")[0] for file in files}
names |= {name for name in importlib.metadata.packages_distributions() if name in installed}
names |= {module.name for module in pkgutil.walk_packages(sidecars.__path__, "sidecars.")}
names -= {f"sidecars.{sys.argv[1]}.__main__"}
for name in sorted(names):
    importlib.import_module(name)
packages = sys.stdin.read().split()
compiled = [name for name in names if name.rpartition(".")[0] in packages and name not in packages]  # no `__init__`
plain = [name for name in compiled if sys.modules[name].__file__.endswith(".py")]
assert not plain, f"not compiled: {plain}"
assert len(names) > 300 and bool(compiled) is bool(packages)
print(len(names), "modules, compiled:", len(compiled))
"""
