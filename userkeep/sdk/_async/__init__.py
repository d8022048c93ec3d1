"""The SDK's async clients. This is the source; `_sync` is generated from it."""
