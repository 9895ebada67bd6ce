"""The package `adapter.exposition`."""
