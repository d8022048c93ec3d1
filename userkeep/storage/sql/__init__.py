"""Named queries, one text for both engines; a dialect's file overrides by name."""
