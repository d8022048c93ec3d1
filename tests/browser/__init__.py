"""Tests with a real browser: Chromium, without a window."""
