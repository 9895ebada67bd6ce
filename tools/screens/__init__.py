"""Screenshots of the pages for the docs, from real runs in Debian's Chromium: `python -m tools.screens`.

    neighbours (app, replicas, log storages, customers) ──▶ lively_pod: the four sidecars as processes, with faults
    python -m demo ───────────────────────────────────────────┐       │
    chromium: Playwright ──drives──▶ /usr/bin/chromium ───────┴─pages─┴─▶ compressed ──▶ docs/pictures/*.png
    record: digests of the templates and of the pictures ──▶ docs/pictures/screens.json ──▶ `--check`, in make check

The packages are those of the extra `browser`; `--check` needs none of them. `tests/browser` uses `chromium`, too.
Read `lively_pod` for what can be seen on the pictures, and `record` for when a picture is too old.
"""
