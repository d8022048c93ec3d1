"""The HTTP server: the native API, the compatibility APIs of older clients, and a few pages.

An API knows routes, statuses and wire formats. The services decide what a request may do.
"""
