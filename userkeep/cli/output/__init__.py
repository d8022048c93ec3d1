"""What the command line prints: tables, JSON, progress, and notes on stderr."""
