"""Process-wide basics of every sidecar: life cycle, signals, logs, limits. They import nothing else of the chassis.

    start ──▶ lifecycle ──▶ run_job(function)              ──▶ exit code, last log line, termination message
                       └──▶ run_service(coroutine(context))
                               context.stopping      set by SIGTERM or SIGINT
                               context.health        latches and heartbeats behind /readyz and /livez

    log.info(…) ──▶ logs (JSON or text) ──▶ scrubber ──▶ log_writer (never blocks) ──▶ stderr

Begin with `lifecycle`.

lifecycle          start, drain, exit codes
signals            SIGTERM and SIGINT: handled, blocked or ignored
health             liveness and readiness
descriptors        limits of open files, a reserve, and errors that mean "used up"
logs, log_writer   log lines, and their way to stderr
log_text           their form on a terminal
troubles           the latest warnings and errors, for `/status`
scrubber           the net under the types of settings: no output has a secret in it
blocking_thread    blocking calls beside the event loop
file_io            whole writes, fsync of a directory, text of bounded size
light_dataclasses, json_text, printable    small pure helpers that load fast
"""
