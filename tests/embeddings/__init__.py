"""Tests of what makes embeddings."""
