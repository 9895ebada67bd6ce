"""The warcopier: copies WARs from an image or any mount to where Tomcat serves them, and Tomcat never sees half of one.

    source/             planning               target/, with archive/ and transfer/       Tomcat
    WARs and digests ─▶ new, kept, to remove ─▶ stage and verify all ─▶ commit all at once ─▶ deploys

As a job (init container) it does one run and exits. With WARCOPIER_WATCH it is a service and does a run after each
change of the source (`watch/`). Read `app` first: one run is one function, `publish`.

- `app`             one run
- `planning`        the decision for each source, without changing the target
- `artifacts`       rules without I/O: same application, trust in the manifest, the new mtime
- `tomcat_names`    the context in a file's name, and names that Tomcat never deploys
- `io_errors`       file access with errors that are sentences
- `statistics`      what a copier that watches counts
- `settings`, `metrics`: as in every sidecar
- `source/`, `archive/`, `target/`, `transfer/`, `watch/`: see the docstring of each

The first run is waited for by an application, so only the modules that it uses are loaded (decision 9).
"""
