"""The baselines: the least that a server of this kind must do, to see what the product adds.

All run under the product's own uvicorn, uvloop and httptools, with its settings.

- `sqlite`, `postgres`: a bare ASGI application that runs the product's own statements through the
  driver (see below), on a copy of the same database. It checks nothing, converts nothing, and sends
  the product's own response. It has the product's changes to uvicorn and to the interpreter, too:
  otherwise the ratio would say nothing of what the application costs.
- `constant`: responds with `.` to everything, under uvicorn as it comes.
- `echo`: no HTTP at all, fixed bytes for each packet: shows what the load generator can do.

No query is written here. `recording` sends requests to the product in this process and notes what
its services ask of their transaction: texts, values and results. Each operation is recorded with
two requests; a value that differs between them must come from the request, from the clock, from a
new uuid, or from a row that was returned before. So `replay` can run the operation for any request.
Each statement must return, or change, as many rows as when it was recorded, or the benchmark stops:
a baseline that does less than the product cannot be measured.
"""
