"""Texts for people: ordinary ones, and canaries, by which everything of a person is known again.

Every text of a canary's bearer has a word in it that holds their mark: twelve letters and digits
that nobody else's texts have. So one look for the mark finds whatever of them is left, in whichever
field it was: the rest of the word says which.
"""

from random import Random

import msgspec

_LETTERS = "bcdfghjkmnpqrtvwxz"
_DIGITS = "2346789"
_CYRILLIC = "бгджзклмнпрстфхцчшщ"
# What anybody may say, so that people share words of the index, and its lists of them.
_COMMON_TEXT = """
    i you we they live walk talk think know like in on at with for about from Oslo Bergen Paris
    shoes running runs ran coffee weather Tuesday invoice flight hotel doctor house garden music
    why what when never always perhaps thanks please café straße 京都 Привет 🙂
"""
_COMMON = _COMMON_TEXT.split()


class Texts:
    """Makes texts that anybody may have."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def word(self, place: str) -> str:
        """A word for a field, such as `email`."""
        letters = "".join(self._random.choices(_LETTERS, k=self._random.randint(2, 12)))
        begin = self._random.choice(["", place])
        return f"{begin}{letters}{self._random.randint(0, 99)}"

    def id(self, place: str) -> str:
        """An id: an application's own word, or a uuid, which goes anywhere in an index."""
        if self._random.random() < 0.5:
            return f"{self.word(place)} {self._random.getrandbits(40):x}"
        return uuid_like(self._random)

    def key(self, place: str) -> str:
        """An idempotency key: visible ASCII."""
        return "".join(each for each in self.id(place) if "!" <= each <= "~")

    def sentence(self, place: str, length: int) -> str:
        """About as many characters; at every few hundred of them there is a `word`."""
        words = [self.word(place)]
        left = length
        while left > 0:
            word = self._random.choice(_COMMON)
            if self._random.random() < 0.02:
                word = self.word(place)
            words.append(word)
            left -= len(word) + 1
        self._random.shuffle(words)
        return " ".join(words)

    def metadata(self, place: str) -> dict[str, object]:
        """A small document, or a large one."""
        size = self._random.choice([0, 1, 1, 2, 3, 40])
        return {f"key {n}": self._value(place) for n in range(size)}

    def change(self, place: str, metadata: dict[str, object]) -> dict[str, object]:
        """What to merge into a document: it grows, shrinks, or says something else."""
        return {
            key: None if self._random.random() < 0.3 else self._value(place)
            for key in [*metadata, f"key {self._random.randint(0, 60)}"]
            if self._random.random() < 0.6
        }

    def data(self, place: str) -> msgspec.Raw:
        """JSON as a framework sends it: what is not ASCII may be escaped."""
        value = {"kind": self.word(place), "text": self.sentence(place, 60)}
        if self._random.random() < 0.5:
            return msgspec.Raw(msgspec.json.encode(value))
        return msgspec.Raw(_escaped(value))

    def _value(self, place: str) -> object:
        kind = self._random.randint(0, 3)
        if kind == 0:
            return self._random.randint(0, 10**9)
        if kind == 1:
            return [self.word(place), {"deeper": self.word(place)}]
        return self.sentence(place, self._random.choice([5, 40, 40, 400]))


class Canaries(Texts):
    """Makes texts that hold a mark.

    Attributes:
        mark: the mark.
        marks: the same, and another in letters that are not ASCII.
        uuids: what belongs to the bearer alone as well.
    """

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.mark = "".join(random.choices(_LETTERS + _DIGITS, k=11)) + random.choice(_DIGITS)
        self.marks = (self.mark, "".join(random.choices(_CYRILLIC, k=10)))
        self.uuids: set[str] = set()
        self._count = 0

    def word(self, place: str) -> str:
        """See Texts. In the index, a word may be kept without what it shares with the one before:
        the mark comes first or last."""
        self._count += 1
        number = f"{place}{self._count}"
        word = self._random.choice([f"{number}{self.mark}", f"{self.mark}{number}9"])
        return self._random.choice(
            [word, word, word.upper(), f"é{word}", f"{word}-{self.mark}", f"{word} {self.marks[1]}"]
        )

    def id(self, place: str) -> str:
        """See Texts."""
        if self._random.random() < 0.5:
            return self.word(place)
        uuid = uuid_like(self._random)
        self.uuids.add(uuid)
        return uuid


def uuid_like(random: Random) -> str:
    """A random uuid."""
    digits = f"{random.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _escaped(value: object) -> bytes:
    text = msgspec.json.encode(value).decode()
    return "".join(each if each.isascii() else _unit(each) for each in text).encode()


def _unit(character: str) -> str:
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
