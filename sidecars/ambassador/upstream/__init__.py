"""The package `ambassador.upstream`."""
