"""The server's background work: jobs on the event loop, from start to stop."""
