"""The package `logshipper.config`."""
