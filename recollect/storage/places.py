"""Where people's data is."""


def tables_with_personal_data(_dialect: str) -> tuple[str, ...]:
    """The tables."""
    return ("messages", "sessions", "users", "erasures", "idempotency")
