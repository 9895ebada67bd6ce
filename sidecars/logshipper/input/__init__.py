"""The package `logshipper.input`."""
