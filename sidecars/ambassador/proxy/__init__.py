"""The package `ambassador.proxy`."""
