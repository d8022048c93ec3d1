"""How fast Userkeep is, as ratios to what this machine can do at all.

`make bench` runs it on SQLite, `make bench BENCH=--postgres` on PostgreSQL, and searching on both
with `make bench BENCH=--search`. A machine drifts, so nothing is compared with a number of another
day: each row has a floor, measured in turn with the product in the same minutes. See __main__ for
what is compared with what, and rows for the goals. `make recall` measures not how fast a search is
but how good.
"""
