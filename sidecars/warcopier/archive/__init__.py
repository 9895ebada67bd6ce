"""An archive: the zip format, the verification of everything in it, and its unpacking.

    bytes of a WAR ─▶ zip_format ─▶ verification ─▶ Contents, or BadArchive with the reason
                                         ├────────▶ unpacking ─▶ files of an exploded directory
                                         └────────▶ matching ◀── files of an exploded directory

Modules in the order of the data:

- `zip_format`      end of central directory record, central directory, local headers, data; nothing else parses a zip
- `entry_names`     rules for the names of entries; duplicates; the number of directories
- `verification`    limits, sizes, CRC-32 and overlaps of all entries, part by part; read this first
- `archive_check`   the verification that the settings select, with errors that name the file
- `unpacking`       the sink of `verification` that writes files; loaded only with WARCOPIER_UNPACK
- `matching`        the sink that compares an exploded directory with the archive; loaded only with WARCOPIER_UNPACK
- `open_directories`   descriptors of an application's directories, for these two
- `implementation_version`   the version that an archive states of itself, for people; only with WARCOPIER_WATCH
- `entry_times`     modification times of unpacked files, which follow from the archive

All others are pure but `unpacking`, `matching` and `open_directories`: they get a function that reads a range of the
file, and open nothing.
"""
