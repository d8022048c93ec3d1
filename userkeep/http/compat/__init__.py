"""Rules that the doors of old clients share: how leniently they read, how they write times."""
