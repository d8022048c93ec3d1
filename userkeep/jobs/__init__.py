"""Jobs: work of many transactions.

Each is written once and run by the server in the background, by an embedded client on demand, and
by the command line with a progress bar. A job knows no HTTP, no event loop and no terminal. There
is no queue: the data itself is the work list, so that no work is lost, and nothing that was deleted
is in a queue.
"""
