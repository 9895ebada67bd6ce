"""The package `logshipper.transform`."""
