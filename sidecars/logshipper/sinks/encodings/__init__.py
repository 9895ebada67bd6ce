"""The package `logshipper.sinks.encodings`."""
