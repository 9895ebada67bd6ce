"""WORKERS > 1: several data paths as processes of their own behind one port.

    supervisor  --- plan, on the command line ---> worker        a process with one `data_path`
        ^                                             |
        +----------- reports, twice a second ---------+
        |
        v
    admin port: readiness, liveness, /status and /metrics of all workers, merged

`plan` is the command line of a worker, `shares` lets the workers take equal parts of the connections, `reports`
encodes, decodes and merges the reports, and `pages` their parts of `/status`. Read `supervisor` first.
It does not import `worker`, which it starts by its module's name.
"""
