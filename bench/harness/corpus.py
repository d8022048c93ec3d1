"""A corpus of messages to be searched and deleted: their texts, their users, and the searches.

Words are made up and sound like English, with its endings, so that there is something to stem;
between them stand English's own stop words. How often a word occurs follows Zipf's law (frequency
about 1 / rank), as in any language: most words are rare, and the most frequent that is no stop word
is in one of twelve messages. A message has about 25 words: two halves out of many thousands, so
that ten million are made in a reasonable time.

Some users, the heavy ones, have as many messages as is asked for (two of 50,000, if nothing is),
all others 1,000, in sessions of 50 that come mixed, as users do: the messages of one user are not
stored in one place.
"""

import threading
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import accumulate, chain, count, cycle, islice, repeat
from random import Random
from time import perf_counter
from typing import Any, NamedTuple

from bench.databases import Databases
from bench.databases.seeding import FIRST_AT
from bench.harness import requests
from bench.harness.servers import SECRET
from userkeep import NewMessage, Userkeep

OF_SESSION = 50
"""Messages of a session."""
HEAVY, LIGHT = 50_000, 1_000
"""Messages of a user."""
QUERIES = 300
"""How many different searches a row of the benchmark has; then they come again."""

_HALVES = 50_000
_WORDS_OF_HALF = (8, 17)
_WORDS = 30_000
_SHARE_OF_STOP_WORDS = 0.5
_ZIPF_EXPONENT = 1.05
_ZIPF_OFFSET = 30
_TOPICS = 20
_LASTS = timedelta(days=730)
_APART = timedelta(seconds=30)
_THREADS = 4

_STOP_WORDS_TEXT = """
the i you and to a it that of in is was for my on with but so have we me be do at this not are they
what just like had about all your no can if one would there when he she got how from an up out them
some will because our then or as know were by been her his did really very has who more also after
now could than into only over where us any before their him
"""
_STOP_WORDS = _STOP_WORDS_TEXT.split()
_ONSETS = (
    "b b bl br c ch cl d d dr f f fl g gr h h j l l m m n n p p pl pr r s s sh sp st t t tr v w"
)
_VOWELS = "a a e e i i o o u ai ea oo"
_CODAS = "     b ck d d g l l m n n nd nt p r rd rk s st t t x"
_ENDINGS = ("", "", "", "", "s", "s", "ed", "ing", "er", "ly", "ness")
_QUESTIONS = (
    "{}",
    "{} {}",
    "{} {} {}",
    "What did she say about the {} and the {}?",
    "When was it that we talked about {}, {} or {}?",
    "Has he told you where the {} {} came from?",
    "Who wanted the {} with {} and {} {} before?",
)


class Search(NamedTuple):
    """One of the searches that are measured: in whose messages, with words, with a filter."""

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
    for messages in (LIGHT, HEAVY)
)


class HeavyUsers(NamedTuple):
    """Some users who have the same number of messages."""

    users: int
    messages: int


@dataclass(frozen=True)
class Corpus:
    """How many messages there are, and whose: users who are not `heavy` have 1,000 each."""

    messages: int
    heavy: tuple[HeavyUsers, ...] = (HeavyUsers(2, HEAVY),)

    def users_of(self, messages: int) -> list[int]:
        """Return the numbers of the heavy users who have so many messages."""
        each = chain.from_iterable(repeat(group.messages, group.users) for group in self.heavy)
        return [number for number, has in enumerate(each) if has == messages]

    @property
    def others(self) -> range:
        """The numbers of the users who are not heavy."""
        return range(sum(group.users for group in self.heavy), max(_owners(self)) + 1)

    @property
    def sessions(self) -> int:
        return self.messages // OF_SESSION

    def __str__(self) -> str:
        return f"{self.messages:,} messages"


def filled(databases: Databases, corpus: Corpus) -> str:
    """Return the URL of a database with all of it: one that was kept, if there is one."""

    of_heavy = "-".join(f"{group.users}x{group.messages}" for group in corpus.heavy)
    return databases.filled(
        f"{corpus.messages}-{of_heavy}", corpus.messages, partial(_fill, corpus)
    )


def _fill(corpus: Corpus, url: str) -> None:
    """Append all of it by the product in this process: words and rows are as it makes them.

    So is the index, but an engine may have it made at the end.
    """
    owners = _owners(corpus)
    left = iter(range(corpus.sessions))
    lock = threading.Lock()
    began = perf_counter()

    def append() -> None:
        while True:
            with lock:
                session = next(left, None)
            if session is None:
                return
            messages = list(_messages(session, corpus))
            client.message.add(_session_id(session), messages, user_id=user_id(owners[session]))
            if session % (corpus.sessions // 10) == 0:
                print(
                    f"  {session * OF_SESSION:,} after {perf_counter() - began:.0f} s", flush=True
                )

    with Userkeep.open(url, secret=SECRET) as client:
        threads = [threading.Thread(target=append) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        last = client.session.get(_session_id(corpus.sessions - 1))
    if last.message_count != OF_SESSION:
        raise SystemExit("not all was appended; see above")


def queries(search: Search, corpus: Corpus) -> list[bytes]:
    """Return requests for one of the searches: words are those of a message of the user."""
    random = Random(search.name)
    owners = _owners(corpus)
    users = corpus.users_of(HEAVY) if search.messages == HEAVY else corpus.others
    drawn = random.choices(sessions_of(corpus, users), k=QUERIES)
    return [_query(search, random, session, owners[session]) for session in drawn]


def user_id(number: int) -> str:
    return f"user-{number:08d}"


def sessions_of(corpus: Corpus, users: Container[int]) -> list[int]:
    return [session for session, owner in enumerate(_owners(corpus)) if owner in users]


def memories(sessions: Sequence[int]) -> Iterator[bytes]:
    """Yield requests for the memory of any of these sessions."""
    drawn = cycle(Random("memories").choices(sessions, k=50_000))
    return (requests.get(f"/v1/sessions/{_session_id(session)}/memory") for session in drawn)


def appends(corpus: Corpus, sessions: Sequence[int], messages: int) -> Iterator[bytes]:
    """Yield requests that append messages to any of these sessions, each with words of its own."""
    drawn = cycle(Random("appends").choices(sessions, k=50_000))
    for number, session in zip(count(1), drawn, strict=False):
        first = corpus.messages + messages * number
        body = {"messages": [_body(first + each) for each in range(messages)]}
        yield requests.post(f"/v1/sessions/{_session_id(session)}/messages", body)


def _query(search: Search, random: Random, session: int, owner: int) -> bytes:
    number = session * OF_SESSION + random.randrange(OF_SESSION)
    body: dict[str, Any] = {"user_id": user_id(owner), "limit": 10}
    if search.has_words:
        body["query"] = _question(random, _text(number))
    if search.has_filter:
        topic = _metadata(number)["topic"]
        body["filter"] = {"and": [{"field": "metadata.topic", "op": "eq", "value": topic}]}
    return requests.post("/v1/search", body)


def _question(random: Random, text: str) -> str:
    ignored = set(_STOP_WORDS)
    words = [word for word in text.replace(".", "").lower().split() if word not in ignored]
    question = random.choice(_QUESTIONS)
    wanted = question.count("{}")
    return question.format(*islice(cycle(random.sample(words, min(wanted, len(words)))), wanted))


@cache
def _owners(corpus: Corpus) -> list[int]:
    heavy = chain.from_iterable(repeat(group.messages, group.users) for group in corpus.heavy)
    of_users = enumerate(chain(heavy, repeat(LIGHT)))
    of_sessions = (repeat(user, messages // OF_SESSION) for user, messages in of_users)
    owners = list(islice(chain.from_iterable(of_sessions), corpus.sessions))
    Random("owners").shuffle(owners)
    return owners


def _session_id(number: int) -> str:
    return f"session-{number:08d}"


def _messages(session: int, corpus: Corpus) -> Iterator[NewMessage]:
    began_at = (
        datetime.fromtimestamp(FIRST_AT // 1_000_000, UTC) + _LASTS * session / corpus.sessions
    )
    for place in range(OF_SESSION):
        body = _body(session * OF_SESSION + place)
        yield NewMessage(**body, created_at=began_at + place * _APART)


def _body(number: int) -> dict[str, Any]:
    return {
        "role": "assistant" if number % 2 else "user",
        "content": _text(number),
        "metadata": _metadata(number),
    }


def _metadata(number: int) -> dict[str, Any]:
    return {"topic": f"topic {_mixed(number) % _TOPICS}", "lang": "en"}


def text_of(number: int, characters: int) -> str:
    """Return a text of this length, always the same for the same number."""
    halves = _halves()
    texts = (halves[_mixed(number * 1_000 + place) % _HALVES] for place in count())
    text = ""
    while len(text) < characters:
        text += f"{next(texts)} "
    return text[:characters]


def _text(number: int) -> str:
    halves, mixed = _halves(), _mixed(number)
    return f"{halves[mixed % _HALVES]} {halves[(mixed >> 24) % _HALVES]}."


def _mixed(number: int) -> int:
    """Return a number that looks random, always the same for the same number."""
    mixed = (number + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    return (mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9 >> 8 & 0xFFFFFFFFFFFF


@cache
def _halves() -> list[str]:
    random = Random("halves")
    words = [*_STOP_WORDS, *_vocabulary()]
    stop, others = len(_STOP_WORDS), len(words) - len(_STOP_WORDS)
    of_stop_words = _zipf(stop, _SHARE_OF_STOP_WORDS, 1)
    of_others = _zipf(others, 1 - _SHARE_OF_STOP_WORDS, _ZIPF_OFFSET)
    weights = list(accumulate([*of_stop_words, *of_others]))
    least, most = _WORDS_OF_HALF
    return [
        " ".join(random.choices(words, cum_weights=weights, k=random.randint(least, most)))
        for _ in range(_HALVES)
    ]


def _zipf(words: int, share: float, first: float) -> list[float]:
    weights = [(rank + first) ** -_ZIPF_EXPONENT for rank in range(words)]
    total = sum(weights)
    return [share * weight / total for weight in weights]


def _vocabulary() -> list[str]:
    """Return words of two or three syllables with English endings, short ones first."""
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
