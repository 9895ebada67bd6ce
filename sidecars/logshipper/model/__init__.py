"""The package `logshipper.model`."""
