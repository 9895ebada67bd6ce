"""The volumes that a neighbour can write to: how a path on them becomes a file, through no link that it has planted.

    a path below a glob ──▶ log_volumes ──▶ chassis.isolation.beneath.Root     open, status, scan: no link is followed,
                                │                                              or only to a declared root
    a pattern ──▶ globs ────────┘                                              which paths match, in one walk
    a configured path ──▶ configured_paths                                     the directory that the operator meant
    a device and inode ──▶ own_files                                           is this a file of ours?

In: paths as texts, from globs, directories and the saved state. None is trusted. Out: descriptors and statuses.

- `log_volumes`: the directories of the globs and of LOGSHIPPER_LINK_ROOTS, held open; begin here.
- `globs`: the walk over the directories.
- `configured_paths`: opens the directory of a glob, of the state, of a sink and of dead letters.
- `own_files`: the state, sinks, dead letters, keys and secrets of this process, which are never read as logs.
"""
