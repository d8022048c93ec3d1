"""How fast Userkeep is, as ratios to a baseline of the same run. See README.md."""
