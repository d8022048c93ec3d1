"""The SDK's calls, awaited. This is the source; `_sync` is printed from it."""
