"""The doors: what comes in over HTTP, on the native interface and on those of old clients.

A door knows routes, statuses and wire formats; what may be done is decided in the services.
"""
