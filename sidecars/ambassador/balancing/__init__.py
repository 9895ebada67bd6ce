"""The package `ambassador.balancing`."""
