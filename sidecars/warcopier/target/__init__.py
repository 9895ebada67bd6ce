"""The target: artifacts are staged beside their final places, and published by one commit.

    Source ─▶ stager ─▶ .warcopier-TOKEN-N.staging ─▶ commit ─▶ shop.war ─▶ manifest
              (verified, flushed)                     (rename)  (Tomcat deploys it)

Modules in the order of the data; read `commit` first, then `stager`:

- `directory`        the target directory, held open, and questions about the artifacts in it
- `free_space`       disk space and inodes, checked before the first byte; `memory_limit` for a target in memory
- `staging_area`     names, files and lock of the run's unfinished work; removal of those of killed runs
- `stager`           one artifact from its source to a staged file or directory that is verified
- `commit`           the step in which each staged artifact becomes the published one
- `directory_swap`   exchange of two directories in one step; removal of a directory of any depth
- `manifest`         `.warcopier.json`, the artifacts that earlier runs published

The target after a `kill -9`, and the next run:

    killed                             on the disk                                  the next run
    before the lock                    nothing new                                  does everything
    while it stages                    old artifacts; lock and staging files that   removes the staging files, does
                                       no process holds                             everything
    between two renames                each artifact old or new; staging files      removes these, publishes the rest
    between the two renames of a       no directory of that name, only where the    publishes it
    directory                          file system has no exchange (NFS)
    after an exchange of directories   the new one; the old one as a staging file   removes the old one
    before a superseded artifact is    new artifacts, and the superseded one        removes it
    removed
    before the manifest is saved       new artifacts, the manifest of before        keeps equal WARs, publishes
                                                                                    directories again, saves a manifest
    after the manifest is saved        new artifacts; lock, replaced directories    removes these
"""
