"""The input: finds the log files, follows them through rotations, and reads chunks for the sinks.

    scan_loop ──scan──▶ follower ──▶ discovery, file_access ──▶ volumes       which files are there? open one
        │                  │
        │                  ├──▶ rotated_file_matching                         is a found file known: rotated, copied?
        │                  ├──▶ rotated_file_gaps, rotated_file_deletion      is one missing? may one be deleted?
        │                  └──▶ followed_files ──▶ tail ──▶ chunk_reader      bytes of a file ──▶ Chunk
        └──poll────────────────▶ followed_files

In: globs, files and events of the kernel. Out: `Chunk`s, which `delivery.sink_queue` reads from the tails.

- `scan_loop`: when to scan and when to poll; `inotify_watcher` wakes it.
- `discovery`: lists files. `file_access` opens them; `permissions` explains why one cannot be read.
- `follower`: which files are followed, and when one is over. It derives from `followed_files`, which owns the tails.
- `rotated_file_matching`: recognises a rotated file, by inode and by content.
- `tail`: one generation, with its states; `sink_positions` has the positions of the sinks in it.
- `open_files`: which files are open, where there are more than descriptors.
- `chunk_reader`: reads, verifies and cuts bytes.

Read `follower` first, then `tail`.
"""
