"""Checks and generators of the documents. Each runs as `python -m tools.documents.<module> --check`, or `--write`.

    sidecars/**/*.py ──▶ codes ──▶ troubleshooting ──▶ the sentences in docs/troubleshooting.md

codes             every code of a warning, an error or an exit reason, with its sentences
troubleshooting   the page that has an anchor for each code
"""
