"""The package `ambassador.transport`."""
