"""Compatibility APIs for older clients, and what they share: lenient parsing, JSON paths."""
