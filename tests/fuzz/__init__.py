"""Malicious and random requests, which must be rejected properly: `make fuzz`."""
