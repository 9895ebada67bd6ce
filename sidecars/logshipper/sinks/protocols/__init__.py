"""The package `logshipper.sinks.protocols`."""
