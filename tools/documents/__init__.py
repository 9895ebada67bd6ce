"""Checks and generators of the documents. Each runs as `python -m tools.documents.<module> --check`, or `--write`.

    sidecars/**/*.py ──▶ codes ──▶ troubleshooting ──▶ the sentences in docs/troubleshooting.md
    **/*.md ──▶ links                              ──▶ links and anchors that lead nowhere
            ──▶ blocks ──▶ tests/documents         ──▶ command blocks that no test runs and that say no reason

codes             every code of a warning, an error or an exit reason, with its sentences
troubleshooting   the page that has an anchor for each code
links             relative links and GitHub's anchors
blocks            fenced blocks, and how each is known to work
site              the optional site: `make site`
"""
