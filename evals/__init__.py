"""How good the product's answers are, measured on data sets; how fast they are, see `bench`."""
