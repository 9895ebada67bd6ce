"""Settings: environment variables in, one frozen dataclass out."""
