"""Moving bytes: copies, digests, a second thread, a second process, and the progress of all that.

    source ─▶ copying (reflink, copy_file_range, sendfile, or read and write) ─▶ staged file
                 └─ background: flushes the copy, takes the digest and verifies, in a second thread
    parts of an archive ─▶ fork_pool ─▶ two processes unpack them

Modules in the order of the data; read `copying` first:

- `progress`     bytes done, reported after two seconds; raises Stopped when a run must end
- `copying`      copies between open files, flushes, SHA-256, comparison
- `background`   a second thread beside a copy, where one can be started
- `fork_pool`    tasks shared with a forked child; loaded only with WARCOPIER_UNPACK

Nothing here knows about WARs, names or settings.
"""
