"""Safe beside a hostile container: what the kernel gives a process that does not trust its neighbours.

    a configured directory ──▶ beneath.Root ──▶ open, create, rename, remove, scan: never through a link
                                    └──▶ openat2: one call per name; else a chain of descriptors, one per component

A neighbour that shares a volume can plant links and swap directories at any time. A path that is checked and then used
is two lookups, and the neighbour changes the answer in between. So a directory is opened once, and each name is looked
up beneath its descriptor by the call that uses it.

    the settings ──▶ roots ──▶ confine.confine: not dumpable, no core, Landlock ──▶ event loop, threads, workers

A process also gives up rights that it does not need: at the start, what is neither in its settings nor part of the
system can no longer be opened by any code in it.

Begin with `beneath` and `confine`.

beneath   `Root`: every operation on a shared volume
c_library functions of the C library, and system calls by their numbers
openat2   openat2(2) by its number, since the C library of the images has no wrapper
roots     the directories that a process may use, and how: declared by the types of its settings
places    the existing directories and files of the roots, and the roots of every Python program
landlock  the three calls of Landlock, and the rights that each version of the kernel knows
confine   the steps at the start, and what is in force
"""
