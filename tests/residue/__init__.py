"""Deleted data is not in the files: random histories, and a scan of every byte."""
