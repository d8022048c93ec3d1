"""Embeddings as bytes, and the arithmetic of searches among them.

`plain` needs nothing but Python, and serves documents. `documents` and `meaning` need numpy, and are
imported by the wiring alone.
"""
