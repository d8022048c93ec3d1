"""What is said between the benchmark and `bench.floor.alone`."""

import msgspec


class Order(msgspec.Struct):
    """What to do: the name of a row, seconds before it counts and then, and how many wait."""

    row: str
    warm_up_s: float
    seconds: float
    waiters: int


class Done(msgspec.Struct):
    """What came of it: when each was asked and answered, and the seconds of processor in all."""

    sent: list[float]
    answered: list[float]
    used_s: float
