"""The SDK: one typed surface over whoever carries a call to an instance and its answer back.

`_async` is the source, `_sync` is printed from it by `scripts/print_sync.py`. Nothing here knows
whether a call crosses a network: an HTTP caller and an embedded one take the same `SDKCall`.
"""
