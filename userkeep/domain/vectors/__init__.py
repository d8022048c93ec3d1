"""Embeddings as bytes, and the arithmetic of searches among them.

`plain` needs nothing but Python, and serves documents. `documents` and `meaning` need numpy: only
the wiring imports them.
"""
