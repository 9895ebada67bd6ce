"""WARCOPIER_WATCH: the process stays, and a change of the source leads to another run. Loaded only in that mode.

    inotify or a timer ─▶ change_events ─▶ watcher: does the source differ? ─▶ settling: is a run due? ─▶ app.publish
                              ▲
    watched_directories ──────┘

Modules in the order of the data; read `watcher` first:

- `watched_directories`   the directories in which a change of the source is an event
- `change_events`         events by inotify; polling where there is none
- `settling`              state machine: is a changed source complete, and is a run due? Pure, times are passed in
- `deployments`           the artifacts as people see them: deployed, verified, rolled back or refused. Pure
- `watcher`               the service: runs in a second thread, their outcome and failure, `/status`
"""
