"""Hostile requests: what they send, and how long everyone else waits."""
