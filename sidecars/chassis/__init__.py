"""What an operator must find identical in every image, and nothing else: settings, life and death, logs, admin."""

__version__ = "0.1.0"
