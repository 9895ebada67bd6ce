"""`make demo`: the Pod as processes on loopback, with things going wrong, and a ledger that is checked."""
