"""The adapter: exposes `/health` for an app that only has `/metrics`, with no change to the app."""
