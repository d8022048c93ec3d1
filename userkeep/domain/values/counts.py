"""Numbers of things, as people read them."""


def pluralize(count: int, noun: str) -> str:
    """Return a number of things: `1 session`, `2,000 sessions`, `3 entries`."""
    return f"{count:,} {plural(count, noun)}"


def plural(count: int, noun: str) -> str:
    """Return a noun as it follows a number: `session` after 1, otherwise `sessions`."""
    if count == 1:
        return noun
    is_y_changed = noun.endswith("y") and noun[-2:-1] not in tuple("aeiou")
    return f"{noun[:-1]}ies" if is_y_changed else f"{noun}s"
