"""The package `ambassador.http`."""
