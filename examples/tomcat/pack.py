"""Pack folders as WARs, which are zips: `python3 pack.py FOLDER WAR [FOLDER WAR …]`.

It needs no JDK, because Tomcat compiles the pages. The same files give the same bytes: entries are sorted and have one
fixed time.
"""

import sys
import zipfile
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time in the zip format


def pack(folder: Path, war: Path) -> None:
    war.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(war, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    for folder, war in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        pack(Path(folder), Path(war))
