"""The package `adapter.app_client`."""
