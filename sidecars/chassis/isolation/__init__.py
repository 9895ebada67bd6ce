"""Safe beside a hostile container: what the kernel gives a process that does not trust its neighbours.

    a configured directory ──▶ beneath.Root ──▶ open, create, rename, remove, scan: never through a link
                                    └──▶ openat2: one call per name; else a chain of descriptors, one per component

A neighbour that shares a volume can plant links and swap directories at any time. A path that is checked and then used
is two lookups, and the neighbour changes the answer in between. So a directory is opened once, and each name is looked
up beneath its descriptor by the call that uses it.

Begin with `beneath`.

beneath   `Root`: every operation on a shared volume
openat2   openat2(2) by its number, since the C library of the images has no wrapper
"""
