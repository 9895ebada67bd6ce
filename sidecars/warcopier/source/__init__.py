"""The sources: WARCOPIER_SOURCE becomes a list of WARs, each with the digest that it must have.

    WARCOPIER_SOURCE ─▶ listing ─▶ Source, for each WAR ─▶ expected_digests ─▶ SHA-256, or "" for none
                           │                                      │
                        globbing                             sha256sums

Modules in the order of the data; read `listing` first:

- `listing`            files, directories and globs become sources, sorted by the name to publish them under
- `globbing`           expansion of a glob without recursion; loaded only for a glob
- `opening`            a source is opened beneath the directory of the setting; no link leads out of it
- `expected_digests`   WARCOPIER_SHA256, or the line of the source in a `SHA256SUMS` beside it
- `sha256sums`         the parser of `SHA256SUMS`; loaded only if there is one
"""
