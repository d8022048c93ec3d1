"""Talk to be searched: what is said, by whom, and what is then looked for.

Words are made up and sound like English, with its endings, so that there is something to cut off;
between them stand English's own small words. How often a word comes follows Zipf's law (frequency
about 1 / rank), as in any language: most words are rare, and the commonest that is no small word
is in one of twelve messages. A message has about 25 words: two halves out of many thousands, so
that ten million are said in a reasonable time.

Some users, the talkers, have as many messages as is asked for (two of 50,000, where nothing is),
all others 1,000, in sessions of 50 that come mixed, as users do: what one user said is not in one
place.
"""

import hashlib
import threading
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate, chain, count, cycle, islice, repeat
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any, NamedTuple

import userkeep
from bench import traffic
from bench.engines import Engine
from bench.seed import BEGAN_AT
from bench.servers import SECRET
from userkeep import NewMessage, Userkeep

EACH = 50
"""Messages of a session."""
MUCH, LITTLE = 50_000, 1_000
"""Messages of a user."""
QUERIES = 300
"""How many different ones a row of the benchmark has; then they come again."""

_HALVES = 50_000
_WORDS_OF_HALF = (8, 17)
_WORDS = 30_000
_SHARE_OF_SMALL_WORDS = 0.5
_FADING = 1.05
_FLATTENED = 30
_TOPICS = 20
_LASTING = timedelta(days=730)
_APART = timedelta(seconds=30)
_THREADS = 4
_BYTES_OF_MESSAGE = 1_300

_SMALL = """
the i you and to a it that of in is was for my on with but so have we me be do at this not are they
what just like had about all your no can if one would there when he she got how from an up out them
some will because our then or as know were by been her his did really very has who more also after
now could than into only over where us any before their him
"""
_SMALL_WORDS = _SMALL.split()
_ONSETS = (
    "b b bl br c ch cl d d dr f f fl g gr h h j l l m m n n p p pl pr r s s sh sp st t t tr v w"
)
_VOWELS = "a a e e i i o o u ai ea oo"
_CODAS = "     b ck d d g l l m n n nd nt p r rd rk s st t t x"
_ENDINGS = ("", "", "", "", "s", "s", "ed", "ing", "er", "ly", "ness")
_ASKED = (
    "{}",
    "{} {}",
    "{} {} {}",
    "What did she say about the {} and the {}?",
    "When was it that we talked about {}, {} or {}?",
    "Has he told you where the {} {} came from?",
    "Who wanted the {} with {} and {} {} before?",
)


class Search(NamedTuple):
    """One of the searches that are measured: whose messages, with words, with a filter."""

    name: str
    messages: int
    has_words: bool
    has_filter: bool


SEARCHES = tuple(
    Search(f"{name}, a user of {messages:,}", messages, has_words, has_filter)
    for name, has_words, has_filter in (
        ("words", True, False),
        ("words and metadata", True, True),
        ("metadata", False, True),
    )
    for messages in (LITTLE, MUCH)
)


class Talkers(NamedTuple):
    """Some users who have each said as much."""

    users: int
    messages: int


@dataclass(frozen=True)
class Talk:
    """How much was said in all, and by whom: who is not named in `talkers` has said LITTLE."""

    messages: int
    talkers: tuple[Talkers, ...] = (Talkers(2, MUCH),)

    def talkers_of(self, messages: int) -> list[int]:
        """The numbers of the talkers who have said as much."""
        said = chain.from_iterable(repeat(each, users) for users, each in self.talkers)
        return [number for number, each in enumerate(said) if each == messages]

    @property
    def others(self) -> range:
        """The numbers of the users who are no talkers."""
        return range(sum(talkers.users for talkers in self.talkers), max(_owners(self)) + 1)

    @property
    def sessions(self) -> int:
        """How many sessions there are."""
        return self.messages // EACH

    @property
    def bytes(self) -> int:
        """About how large the database is, with its index."""
        return self.messages * _BYTES_OF_MESSAGE

    def __str__(self) -> str:
        return f"{self.messages:,} messages"


def filled(engine: Engine, talk: Talk) -> str:
    """The URL of a database in which all of it was said: one that was kept, if there is one."""

    def fill(url: str) -> None:
        print(f"{engine.floor}: filling with {talk} …", flush=True)
        _fill(url, talk)

    by_whom = hashlib.sha256(repr(talk.talkers).encode()).hexdigest()[:6]
    return engine.filled(f"{_recipe()}-{talk.messages}-{by_whom}", talk.bytes, fill)


def _recipe() -> str:
    """What a database that was kept was made of: the talk, and the product that indexed it."""
    said = (_halves()[:50], _HALVES, EACH, LITTLE, _TOPICS, _LASTING)
    made_of = hashlib.sha256(repr(said).encode())
    for package in ("domain", "services", "storage"):
        for file in sorted((Path(userkeep.__file__).parent / package).rglob("*")):
            if file.suffix in {".py", ".sql"}:
                made_of.update(file.read_bytes())
    return made_of.hexdigest()[:12]


def _fill(url: str, talk: Talk) -> None:
    """Say all of it to the product in this process: words and rows are as it makes them.

    So is the index, but that an engine may have it made when all is said.
    """
    owners = _owners(talk)
    left = iter(range(talk.sessions))
    lock = threading.Lock()
    began = perf_counter()

    def say() -> None:
        while True:
            with lock:
                session = next(left, None)
            if session is None:
                return
            client.message.add(
                _session_id(session),
                list(_messages(session, talk)),
                user_id=user_id(owners[session]),
            )
            if session % (talk.sessions // 10) == 0:
                print(f"  {session * EACH:,} after {perf_counter() - began:.0f} s", flush=True)

    with Userkeep.open(url, secret=SECRET) as client:
        threads = [threading.Thread(target=say) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        last = client.session.get(_session_id(talk.sessions - 1))
    if last.message_count != EACH:
        raise SystemExit("not all was said; see above")


def queries(search: Search, talk: Talk) -> list[bytes]:
    """Requests for one of the searches: words are those of a message of the user's."""
    random = Random(search.name)
    owners = _owners(talk)
    sessions = sessions_of(talk, talk.talkers_of(MUCH) if search.messages == MUCH else talk.others)
    return [
        _query(search, random, session, owners[session]) for session in _drawn(random, sessions)
    ]


def user_id(number: int) -> str:
    """The id of a user."""
    return f"user-{number:08d}"


def sessions_of(talk: Talk, users: Container[int]) -> list[int]:
    """The numbers of the sessions of users."""
    return [session for session, owner in enumerate(_owners(talk)) if owner in users]


def memories(sessions: Sequence[int]) -> Iterator[bytes]:
    """Requests that read the memory of any of these sessions."""
    drawn = cycle(_drawn(Random("memories"), sessions, 50_000))
    return (traffic.get(f"/v1/sessions/{_session_id(session)}/memory") for session in drawn)


def appends(talk: Talk, sessions: Sequence[int], messages: int) -> Iterator[bytes]:
    """Requests that append messages to any of these sessions, each with words of its own."""
    drawn = cycle(_drawn(Random("appends"), sessions, 50_000))
    for number, session in zip(count(1), drawn, strict=False):
        first = talk.messages + messages * number
        said = [_as_sent(first + each) for each in range(messages)]
        yield traffic.post(f"/v1/sessions/{_session_id(session)}/messages", {"messages": said})


def _drawn(random: Random, sessions: Sequence[int], number: int = QUERIES) -> list[int]:
    return random.choices(sessions, k=number)


def _query(search: Search, random: Random, session: int, owner: int) -> bytes:
    number = session * EACH + random.randrange(EACH)
    body: dict[str, Any] = {"user_id": user_id(owner), "limit": 10}
    if search.has_words:
        body["query"] = _words_asked(random, _text(number))
    if search.has_filter:
        topic = _metadata(number)["topic"]
        body["filter"] = {"and": [{"field": "metadata.topic", "op": "eq", "value": topic}]}
    return traffic.post("/v1/search", body)


def _words_asked(random: Random, text: str) -> str:
    small = set(_SMALL_WORDS)
    said = [word for word in text.rstrip(".").replace(".", "").lower().split() if word not in small]
    asked = random.choice(_ASKED)
    wanted = asked.count("{}")
    return asked.format(*islice(cycle(random.sample(said, min(wanted, len(said)))), wanted))


@cache
def _owners(talk: Talk) -> list[int]:
    """The user of each session."""
    said = chain.from_iterable(repeat(each, users) for users, each in talk.talkers)
    of_each = (repeat(user, each // EACH) for user, each in enumerate(chain(said, repeat(LITTLE))))
    owners = list(islice(chain.from_iterable(of_each), talk.sessions))
    Random("owners").shuffle(owners)
    return owners


def _session_id(number: int) -> str:
    return f"session-{number:08d}"


def _messages(session: int, talk: Talk) -> Iterator[NewMessage]:
    began_at = (
        datetime.fromtimestamp(BEGAN_AT // 1_000_000, UTC) + _LASTING * session / talk.sessions
    )
    for place in range(EACH):
        number = session * EACH + place
        yield NewMessage(
            role=_role(number),
            role_type=_role(number),
            content=_text(number),
            metadata=_metadata(number),
            created_at=began_at + place * _APART,
        )


def _as_sent(number: int) -> dict[str, Any]:
    return {
        "role": _role(number),
        "role_type": _role(number),
        "content": _text(number),
        "metadata": _metadata(number),
    }


def _role(number: int) -> Any:
    return "assistant" if number % 2 else "user"


def _metadata(number: int) -> dict[str, Any]:
    return {"topic": f"topic {_mixed(number) % _TOPICS}", "lang": "en"}


def _text(number: int) -> str:
    halves, mixed = _halves(), _mixed(number)
    return f"{halves[mixed % _HALVES]} {halves[(mixed >> 24) % _HALVES]}."


def _mixed(number: int) -> int:
    """A number that looks random, the same for the same number."""
    mixed = (number + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    return (mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9 >> 8 & 0xFFFFFFFFFFFF


@cache
def _halves() -> list[str]:
    random = Random("halves")
    words = [*_SMALL_WORDS, *_vocabulary()]
    small, others = len(_SMALL_WORDS), len(words) - len(_SMALL_WORDS)
    weights = list(
        accumulate(
            [
                *_zipf(small, _SHARE_OF_SMALL_WORDS, 1),
                *_zipf(others, 1 - _SHARE_OF_SMALL_WORDS, _FLATTENED),
            ]
        )
    )
    least, most = _WORDS_OF_HALF
    return [
        " ".join(random.choices(words, cum_weights=weights, k=random.randint(least, most)))
        for _ in range(_HALVES)
    ]


def _zipf(words: int, share: float, first: float) -> list[float]:
    weights = [(rank + first) ** -_FADING for rank in range(words)]
    total = sum(weights)
    return [share * weight / total for weight in weights]


def _vocabulary() -> list[str]:
    """Words of two or three syllables with English endings, the commonest first: short ones."""
    random = Random("vocabulary")
    onsets, vowels, codas = _ONSETS.split(), _VOWELS.split(), _CODAS.split(" ")
    words: dict[str, None] = {}
    while len(words) < _WORDS:
        syllables = random.choice((2, 2, 2, 3))
        opening = [random.choice(onsets) + random.choice(vowels) for _ in range(syllables)]
        stem = "".join(opening) + random.choice(codas)
        for ending in random.sample(_ENDINGS, 3):
            words[stem + ending] = None
    return sorted(words, key=lambda word: len(word) + random.uniform(-3, 6))
