"""The parts that are the same in every sidecar, so that an operator finds them in every image.

    __main__ of a sidecar ──▶ commandline ──▶ config: settings from the environment
                                         └──▶ runtime: life cycle, logs, limits, health
                                         └──▶ admin_server ──▶ status_document ──▶ page: the same for people
                                                          └──▶ http: server, client, TLS ──▶ accept: listening sockets
                                         └──▶ isolation: names beneath a directory, and a process without what it does
                                              not need: safe beside a hostile neighbour

Imports go one way: `probe` and `settings_tables` import `commandline` and `admin_server`, these import `page`,
`status_document` and `http`, that imports `accept`, this imports `config`, which imports `isolation`, and all import
`runtime`.

commandline      run, `--check`, `--help`, `--version`; read it first
admin_server     `/`, `/livez`, `/readyz`, `/metrics`, `/status`
status_document  what `/status` says
shared_work      one document for all who ask at a time
metrics          the metrics that all share, loaded at the first scrape
probe            the health client of the images
settings_tables  the settings tables of the READMEs
streams          standard output and error of a command
histogram        the buckets of a metric
"""

__version__ = "0.1.0"
