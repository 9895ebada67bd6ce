"""The ambassador: the one localhost address that the app talks to, and that reaches the services outside."""
