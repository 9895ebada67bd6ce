"""Small HTTP/1.1 servers and clients, and what they share."""
