"""Pack a WAR that shows its version: `python3 pack.py 2 artifacts/shop.war`.

It needs no JDK, because Tomcat compiles the page. Every version has the same size and the same times inside, as
reproducible builds have them. The new WAR replaces the old one in one step, as in a careful build. The copier needs
neither.
"""

import os
import sys
import zipfile
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time in the zip format
_FILES = {
    "WEB-INF/web.xml": """<?xml version="1.0" encoding="UTF-8"?>
<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0">
  <context-param><param-name>version</param-name><param-value>{version}</param-value></context-param>
</web-app>
""",
    "index.jsp": '<%@ page contentType="text/plain" session="false" %>'
    'version <%= application.getInitParameter("version") %>\n',
}


def pack(version: str, war: Path) -> None:
    war.parent.mkdir(parents=True, exist_ok=True)
    unfinished = war.with_name(f".{war.name}.new")
    with zipfile.ZipFile(unfinished, "w") as archive:
        for name, text in _FILES.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text.replace("{version}", version))
    unfinished.chmod(0o644)
    os.replace(unfinished, war)  # noqa: PTH105 - one step


if __name__ == "__main__":
    pack(sys.argv[1], Path(sys.argv[2]))
