"""Debian's Chromium, for the screenshots of the docs (`make pictures`) and for `tests/browser`.

    chromium: Playwright from PyPI ──drives──▶ /usr/bin/chromium of Debian, without a window
                                                  │
    sidecars as processes, with traffic ──pages──▶│──▶ docs/pictures/*.png

The packages are those of the extra `browser`. Read `chromium` first.
"""
