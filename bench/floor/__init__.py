"""The floors: the least that a server of this kind can do, to see what the product adds to it.

All run under the product's own uvicorn, uvloop and httptools, with its settings.

- `sqlite`, `postgres`: a bare ASGI application that has the driver run the product's own texts of
  its queries for the same requests, on connections set as the product's, on a copy of the same
  database. It checks nothing, converts nothing, knows no errors, and sends JSON of the product's
  size. What the product does to uvicorn and to the interpreter, it has as well: else the product
  would be faster than its floor, and the share would say nothing of what the application costs.
- `constant`: answers `.` to everything, under uvicorn as it comes: what Zep was compared with.
- `echo`: no HTTP at all, fixed bytes for each packet: shows what the load generator can do.

And without any server, `bench.floor.alone`: the statements of `postgres` and nothing else.
"""
