"""The SDK: one typed client over a transport, which is HTTP or an embedded database.

`_async` is the source, and `_sync` is generated from it by `scripts/generate_sync.py`. A client
makes an `SDKCall` of each method call, and the transport performs it.
"""
