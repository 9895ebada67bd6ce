"""The package `logshipper.state`."""
