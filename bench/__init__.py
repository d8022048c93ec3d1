"""How fast Recollect is, as ratios to what this machine can do at all.

`make bench` runs it. A machine drifts, so nothing is compared with a number of another day: each
row has a floor, measured in turn with the product in the same minutes. See __main__ for the rows.
"""
