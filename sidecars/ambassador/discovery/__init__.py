"""The package `ambassador.discovery`."""
