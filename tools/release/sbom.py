"""The bill of materials of an image, made from the files that are in it: SPDX 2.3 as JSON.

    sbom.py ROOT NAME ARCHITECTURE VERSION_FILE     print the document of the image whose root file system is ROOT

The packages are Debian's (/var/lib/dpkg/status.d), Python's (*.dist-info) and our own code. A wheel that brings bills
of materials of what is compiled into it (PEP 770) keeps them, and its entry here refers to them.

It raises ValueError unless each regular file below /usr belongs to exactly one of these packages. The same files give
the same bytes on every machine: the time is 1970, like that of the files, and the namespace ends with the content's
digest.
VERSION_FILE is the Python file whose `__version__` is the version of our code.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

SITE = "usr/lib/python3/dist-packages"
RECORDS = "var/lib/dpkg/status.d"
NAMESPACE = "https://sidecars.invalid/spdx"
OURS = re.compile(rf"{SITE}/sidecars/|usr/local/bin/(sidecar|probe)$|usr/share/doc/sidecars/")
BYTECODE = re.compile(r"^(.*)/__pycache__/([^/.]+)\.[^/]+\.pyc$")
Package = dict[str, Any]


def main(argv: list[str]) -> int:
    if len(argv) != 4:  # noqa: PLR2004 - as the text says
        print(__doc__, file=sys.stderr)
        return 64
    root, name, architecture, version_file = Path(argv[0]), argv[1], argv[2], Path(argv[3])
    print(json.dumps(document(root, name, architecture, version_of(version_file)), indent=1, sort_keys=True))
    return 0


def version_of(file: Path) -> str:
    found = re.search(r'^__version__ = "(.+)"$', file.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{file} has no __version__")
    return found[1]


def document(root: Path, name: str, architecture: str, version: str) -> dict[str, Any]:
    """Return the document. Raises ValueError if a file below /usr has no owner, or two."""
    check_owners(root)
    parts = [*debian_packages(root), *python_packages(root), our_code(version)]
    image = package(name, version, "SPDXRef-Image", licence="Apache-2.0")
    image["primaryPackagePurpose"] = "CONTAINER"
    digest = hashlib.sha256(json.dumps([image, *parts], sort_keys=True).encode()).hexdigest()
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{name}-{version}-{architecture}",
        "documentNamespace": f"{NAMESPACE}/{name}-{version}-{architecture}-{digest}",
        "creationInfo": {"created": "1970-01-01T00:00:00Z", "creators": ["Tool: sidecars-release-sbom"]},
        "packages": [image, *parts],
        "relationships": [
            related("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image"),
            *(related("SPDXRef-Image", "CONTAINS", part["SPDXID"]) for part in parts),
        ],
    }


def package(name: str, version: str, identifier: str, *, licence: str = "NOASSERTION", purl: str = "") -> Package:
    made: Package = {
        "name": name,
        "versionInfo": version,
        "SPDXID": re.sub(r"[^A-Za-z0-9.-]", "-", identifier),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licence,
        "copyrightText": "NOASSERTION",
    }
    if purl:
        made["externalRefs"] = [reference("PACKAGE-MANAGER", "purl", purl)]
    return made


def reference(category: str, kind: str, locator: str) -> dict[str, str]:
    return {"referenceCategory": category, "referenceType": kind, "referenceLocator": locator}


def related(one: str, how: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": how, "relatedSpdxElement": other}


def our_code(version: str) -> Package:
    """Return the package of our own code. Its purl is generic: nobody must look for it in a public index."""
    return package("sidecars", version, "SPDXRef-Code", licence="Apache-2.0", purl=f"pkg:generic/sidecars@{version}")


# -- Debian -------------------------------------------------------------------------------------------------------


def debian_packages(root: Path) -> list[Package]:
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', text(root / "etc/os-release"), re.MULTILINE))
    found = []
    for file in records(root):
        fields = HeaderParser().parsestr(file.read_text())
        name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
        source, _, source_version = (fields["Source"] or name).partition(" ")
        where = f"?arch={architecture}&distro=debian-{release['VERSION_ID']}&upstream={quote(source, safe='')}"
        purl = f"pkg:deb/debian/{quote(name, safe='')}@{quote(version, safe='')}{where}"
        made = package(name, version, f"SPDXRef-Debian-{name}", purl=purl)
        made["sourceInfo"] = f"Debian's source package {source} {source_version.strip('()') or version}"
        made["licenseComments"] = f"the licences are in /usr/share/doc/{name}/copyright"
        if homepage := fields["Homepage"]:
            made["homepage"] = homepage
        found.append(made)
    return found


def records(root: Path) -> list[Path]:
    return [file for file in sorted((root / RECORDS).glob("*")) if file.suffix != ".md5sums"]


def text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


# -- Python -------------------------------------------------------------------------------------------------------


def distributions(root: Path) -> Iterator[tuple[Path, Message]]:
    for folder in sorted((root / SITE).glob("*.dist-info")):
        yield folder, HeaderParser().parsestr((folder / "METADATA").read_text())


def python_packages(root: Path) -> list[Package]:
    found = []
    for folder, fields in distributions(root):
        name, version = re.sub(r"[-_.]+", "-", str(fields["Name"])).lower(), str(fields["Version"])
        licence = str(fields.get("License-Expression", "NOASSERTION"))
        made = package(name, version, f"SPDXRef-Python-{name}", licence=licence, purl=f"pkg:pypi/{name}@{version}")
        made["licenseComments"] = f"the licences are in /{SITE}/{folder.name}"
        for bill in sorted(folder.glob("sboms/*")):
            made["externalRefs"].append(reference("OTHER", "pep-770-sbom", f"/{bill.relative_to(root)}"))
        found.append(made)
    return found


# -- whose a file is ----------------------------------------------------------------------------------------------


def check_owners(root: Path) -> None:
    """Raise ValueError with the paths below /usr that belong to no package, or to two."""
    wrong = []
    for path, owners in sorted(ownership(root).items()):
        if len(owners) != 1:
            wrong.append(f"/{path} belongs to {' and '.join(sorted(owners)) or 'no package'}")
    if wrong:
        raise ValueError("\n".join(wrong))


def ownership(root: Path) -> dict[str, set[str]]:
    """Return the packages of each regular file below /usr. Bytecode belongs to the package of its source."""
    claims: dict[str, set[str]] = {}
    for file in records(root):
        for line in text(file.parent / f"{file.name}.md5sums").splitlines():
            claims.setdefault(line.split(maxsplit=1)[1], set()).add(file.name)
    for folder, fields in distributions(root):
        for row in csv.reader(text(folder / "RECORD").splitlines()):
            claims.setdefault(str(PurePosixPath(SITE, row[0])), set()).add(str(fields["Name"]))
    found: dict[str, set[str]] = {}
    for file in (root / "usr").rglob("*"):
        if file.is_file() and not file.is_symlink():
            path = str(file.relative_to(root))
            source = BYTECODE.sub(r"\1/\2.py", path)
            if (root / source).is_symlink():  # a module of Debian's Python has two names
                source = str((root / source).resolve().relative_to(root.resolve()))
            found[path] = claims.get(source, set()) | ({"sidecars"} if OURS.match(source) else set())
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
