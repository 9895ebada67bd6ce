"""Each sidecar beside its real peers, in one run: `python -m benchmarks.NAME`, or `make bench` for all and a report."""
