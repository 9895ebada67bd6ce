"""The package `logshipper.delivery`."""
