# Printed by scripts/print_sync.py from _async/__init__.py: change it there.
"""The SDK's calls, which wait for their answers."""
