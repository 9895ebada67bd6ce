"""The input: finds the log files, follows them through rotations, and reads chunks for the sinks.

    scan_loop ──scan──▶ follower ──▶ discovery, file_access ──▶ volumes       which files are there? open one
        │                  │
        │                  ├──▶ rotation                                      is a found file known: rotated, copied?
        │                  ├──▶ rotated_file_gaps                             is one missing?
        │                  ├──▶ compressed                                    is it a compressed copy? its text
        │                  ├──▶ new_files                                     where does reading begin?
        │                  └──▶ followed_files ──▶ tail ──▶ chunk_reader      bytes of a file ──▶ Chunk
        └──poll────────────────▶ followed_files

In: globs, files and events of the kernel. Out: `Chunk`s, which `delivery.sink_queue` reads from the tails.

- `scan_loop`: when to scan and when to poll; `inotify_watcher` wakes it.
- `discovery`: lists files. `file_access` opens them; `permissions` explains why one cannot be read.
- `follower`: which files are followed, and when one is over. It derives from `compressed.copies`, and that by way of
  `new_files` from `followed_files`, which owns the tails.
- `rotation`: recognises a rotated file, by inode and by content.
- `tail`: one generation; `tail_states` has its states, and `sink_positions` the positions of the sinks in it.
- `open_files`: which files are open, and which are closed: idle, or for want of descriptors.
- `chunk_reader`: reads, verifies and cuts bytes.

Read `follower` first, then `tail`.
"""
