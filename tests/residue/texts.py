"""Random texts for users: ordinary ones, and canaries, which can be found in files.

Every text of a user with canaries contains a word with the user's mark: twelve letters and digits
that no other text contains. So a scan for the mark finds any residue of the user. The rest of the
word names the field that it was in.
"""

from random import Random

import msgspec

_LETTERS = "bcdfghjkmnpqrtvwxz"
_DIGITS = "2346789"
_CYRILLIC = "бгджзклмнпрстфхцчшщ"
# Words that all users share, so that their postings are in the same lists of the index.
_COMMON_TEXT = """
    i you we they live walk talk think know like in on at with for about from Oslo Bergen Paris
    shoes running runs ran coffee weather Tuesday invoice flight hotel doctor house garden music
    why what when never always perhaps thanks please café straße 京都 Привет 🙂
"""
_COMMON = _COMMON_TEXT.split()


class Texts:
    """Generates ordinary texts."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def word(self, field: str) -> str:
        """Return a word for a field, such as `email`."""
        letters = "".join(self._random.choices(_LETTERS, k=self._random.randint(2, 12)))
        begin = self._random.choice(["", field])
        return f"{begin}{letters}{self._random.randint(0, 99)}"

    def id(self, field: str) -> str:
        """Return an id: a word of the application, or a uuid, which can be anywhere in an index."""
        if self._random.random() < 0.5:
            return f"{self.word(field)} {self._random.getrandbits(40):x}"
        return uuid_like(self._random)

    def key(self, field: str) -> str:
        """Return an idempotency key: visible ASCII."""
        return "".join(each for each in self.id(field) if "!" <= each <= "~")

    def sentence(self, field: str, length: int) -> str:
        """Return a text of about `length` characters, with a `word` every few hundred of them."""
        words = [self.word(field)]
        left = length
        while left > 0:
            word = self._random.choice(_COMMON)
            if self._random.random() < 0.02:
                word = self.word(field)
            words.append(word)
            left -= len(word) + 1
        self._random.shuffle(words)
        return " ".join(words)

    def metadata(self, field: str) -> dict[str, object]:
        """Return small or large metadata."""
        size = self._random.choice([0, 1, 1, 2, 3, 40])
        return {f"key {n}": self._value(field) for n in range(size)}

    def change(self, field: str, metadata: dict[str, object]) -> dict[str, object]:
        """Return a merge patch that adds, removes or changes keys."""
        return {
            key: None if self._random.random() < 0.3 else self._value(field)
            for key in [*metadata, f"key {self._random.randint(0, 60)}"]
            if self._random.random() < 0.6
        }

    def data(self, field: str) -> msgspec.Raw:
        """Return JSON; characters that are not ASCII may be escaped, as some frameworks do."""
        value = {"kind": self.word(field), "text": self.sentence(field, 60)}
        if self._random.random() < 0.5:
            return msgspec.Raw(msgspec.json.encode(value))
        return msgspec.Raw(_escaped(value))

    def _value(self, field: str) -> object:
        kind = self._random.randint(0, 3)
        if kind == 0:
            return self._random.randint(0, 10**9)
        if kind == 1:
            return [self.word(field), {"deeper": self.word(field)}]
        return self.sentence(field, self._random.choice([5, 40, 40, 400]))


class Canaries(Texts):
    """Generates texts that contain a mark.

    Attributes:
        mark: the mark.
        marks: the mark, and another one in letters that are not ASCII.
        uuids: the uuids of the user.
    """

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.mark = "".join(random.choices(_LETTERS + _DIGITS, k=11)) + random.choice(_DIGITS)
        self.marks = (self.mark, "".join(random.choices(_CYRILLIC, k=10)))
        self.uuids: set[str] = set()
        self._count = 0

    def word(self, field: str) -> str:
        # The index stores a word without the prefix that it shares with the one before, so the mark
        # is at the start or at the end.
        self._count += 1
        number = f"{field}{self._count}"
        word = self._random.choice([f"{number}{self.mark}", f"{self.mark}{number}9"])
        return self._random.choice(
            [word, word, word.upper(), f"é{word}", f"{word}-{self.mark}", f"{word} {self.marks[1]}"]
        )

    def id(self, field: str) -> str:
        if self._random.random() < 0.5:
            return self.word(field)
        uuid = uuid_like(self._random)
        self.uuids.add(uuid)
        return uuid


def uuid_like(random: Random) -> str:
    """Return a random uuid."""
    digits = f"{random.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _escaped(value: object) -> bytes:
    text = msgspec.json.encode(value).decode()
    return "".join(each if each.isascii() else _unit(each) for each in text).encode()


def _unit(character: str) -> str:
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
