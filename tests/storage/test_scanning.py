"""The scanner finds search terms of each kind, wherever they are planted."""

import base64
import json
import random
import uuid
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.postgres import postgres_server
from userkeep import NewMessage, Userkeep
from userkeep.domain.errors import InvalidField
from userkeep.domain.search.analyzer import Analyzer, fold
from userkeep.domain.search.languages import LANGUAGES
from userkeep.domain.search_terms import MAX_SEARCH_TERMS, check_search_terms
from userkeep.jobs.verify import scanning
from userkeep.jobs.verify.finder import MAX_MATCHES
from userkeep.jobs.verify.patterns import (
    Encoding,
    Index,
    Pattern,
    distinctive_terms,
    patterns_of,
    word_patterns_of,
)
from userkeep.jobs.verify.scanning import PIECE_BYTES, Scanner, scan_files
from userkeep.storage.raw_files import PlainFile

ANALYZER = Analyzer(LANGUAGES["english"])
SENTENCE = 'Jane "the Fox" Doe\nlives in Øslo/Zürich, <at> №12 😀'
UUID = "0192f0c1-2b3a-7c4d-8e5f-60718293a4b5"


def forms(search_term: str, data: bytes) -> set[Encoding]:
    """Return the encodings in which a search term is found in bytes."""
    return {pattern.encoding for _, pattern in Scanner(patterns_of([search_term])).find(data)}


# Each encoding.


@pytest.mark.parametrize(
    ("written", "encoding"),
    [
        (SENTENCE.encode(), Encoding.UTF8),
        (SENTENCE.lower().encode(), Encoding.OTHER_CASE),
        (SENTENCE.upper().encode(), Encoding.OTHER_CASE),
        (SENTENCE.title().encode(), Encoding.OTHER_CASE),
        (SENTENCE.casefold().encode(), Encoding.OTHER_CASE),
        (fold(SENTENCE).encode(), Encoding.OTHER_CASE),
        (SENTENCE.replace("ü", "u\u0308").encode(), Encoding.OTHER_CASE),
        (SENTENCE.encode("utf-16-le"), Encoding.UTF16_LE),
        (SENTENCE.encode("utf-16-be"), Encoding.UTF16_BE),
        (SENTENCE.upper().encode("utf-16-le"), Encoding.UTF16_LE),
        (json.dumps(SENTENCE).encode(), Encoding.JSON),
        (json.dumps(SENTENCE, ensure_ascii=False).encode(), Encoding.JSON),
        (json.dumps(SENTENCE).replace("/", "\\/").encode(), Encoding.JSON),
        (json.dumps(SENTENCE).replace("\\ud83d\\ude00", "\\uD83D\\uDE00").encode(), None),
        (msgspec.json.encode({"a": [SENTENCE]}), Encoding.JSON),
        (json.dumps({"a": json.dumps({"b": SENTENCE})}).encode(), Encoding.JSON),
        (SENTENCE.encode().hex().encode(), Encoding.HEX),
        (SENTENCE.encode().hex().upper().encode(), Encoding.HEX),
        (base64.b64encode(b"before" + SENTENCE.encode() + b"!"), Encoding.BASE64),
        (base64.b64encode(b"before1" + SENTENCE.encode() + b"!"), Encoding.BASE64),
        (base64.urlsafe_b64encode(b"before12" + SENTENCE.encode() + b"!"), Encoding.BASE64),
    ],
)
def test_a_text_is_found_in_every_encoding(written: bytes, encoding: Encoding | None) -> None:
    data = b"\x05 before " + written + b" after \xff"
    assert forms(SENTENCE, data) == ({encoding} if encoding else set())


def test_json_is_found_with_upper_case_escapes_and_escaped_html() -> None:
    text = "Jane Øé <b>"
    for escaped in (
        "Jane \\u00D8\\u00E9 <b>",
        "Jane \\u00d8\\u00e9 \\u003cb\\u003e",
        "Jane \\u00D8\\u00E9 \\u003Cb\\u003E",
        "Jane Øé \\u003cb\\u003e",
    ):
        assert forms(text, escaped.encode()) == {Encoding.JSON}


@pytest.mark.parametrize("given", [UUID, UUID.upper(), UUID.replace("-", "")])
def test_a_uuid_is_found_as_text_and_as_bytes(given: str) -> None:
    for written in (UUID, UUID.upper(), UUID.replace("-", ""), UUID.replace("-", "").upper()):
        assert forms(given, written.encode()) & {Encoding.UUID, Encoding.UTF8, Encoding.OTHER_CASE}
    assert forms(given, b"\x03" + uuid.UUID(UUID).bytes + b"\x00") == {Encoding.UUID_BYTES}


def test_a_text_that_is_no_uuid_is_not_searched_as_one() -> None:
    assert Encoding.UUID_BYTES not in {each.encoding for each in patterns_of(["0192f0c1-2b3a"])}


def test_nothing_is_found_in_random_bytes() -> None:
    rest = random.Random(7).randbytes(3 * PIECE_BYTES)
    assert list(Scanner(patterns_of([SENTENCE, UUID, "Jane Doe"])).find(rest)) == []


def test_no_pattern_is_short_enough_to_be_found_by_chance() -> None:
    for search_term in (SENTENCE, UUID, "Li Wei", "王明", "a@b.cd", "AAAABC"):
        assert all(len(pattern.data) >= 6 for pattern in patterns_of([search_term]))


# The terms of an index.


def word_forms(word: str, data: bytes, index: Index = "fts5") -> set[Encoding]:
    patterns = word_patterns_of([distinctive_terms(word, ANALYZER)], index)
    return {pattern.encoding for _, pattern in Scanner(patterns).find(data)}


def test_index_terms_are_those_of_the_analyzer_without_short_ones() -> None:
    assert distinctive_terms("Jane's Appointments in ZÜRICH", ANALYZER) == {"appoint", "zurich"}


def test_a_term_at_the_start_of_an_fts5_page_is_found() -> None:
    assert word_forms("Lindqvist", b"\x00\x04\x0a0lindqvist\x01") == {Encoding.WORD}
    assert word_forms("Lindqvist", b"\x00\x04\x0b0@lindqvist\x01") == {Encoding.WORD}


def test_the_suffix_of_a_prefix_compressed_fts5_term_is_found() -> None:
    assert word_forms("Lindqvist", b"\x01\x09lindqvist") == {Encoding.WORD}
    assert word_forms("Lindqvist", b"\x03\x07ndqvist") == {Encoding.TAIL}
    assert word_forms("Lindqvist", b"\x04\x07ndqvist") == {Encoding.TAIL}, "after an @"
    assert word_forms("Lindqvist", b"\x04\x06dqvist") == {Encoding.TAIL}
    assert word_forms("Lindqvist", b"\x05\x05qvist") == set(), "too short to be told from chance"


def test_a_longer_term_with_the_same_start_or_end_is_not_found() -> None:
    assert word_forms("Lindqvist", b"\x0b0lindqvists\x01") == set()
    assert word_forms("Lindqvist", b"\x01\x0alindqvists") == set()
    assert word_forms("Lindqvist", b"\x05\x07ndqvist") == set()


def test_a_term_is_found_as_a_whole_key_of_a_gin_index_only() -> None:
    assert word_forms("Lindqvist", b"\x40\x15lindqvist\x00", "gin") == {Encoding.WORD}
    assert word_forms("Lindqvist", b"\x40\x17@lindqvist", "gin") == {Encoding.WORD}
    assert word_forms("Lindqvist", b"\x40\x17lindqvists", "gin") == set()
    assert word_forms("Lindqvist", b"the lindqvist papers", "gin") == set()


def test_a_term_is_found_anywhere_in_a_tsvector() -> None:
    assert word_forms("Lindqvist", b"\x1blindqvistmiller", "tsvector") == {Encoding.WORD}


@pytest.mark.parametrize("letters", [62, 63, 64])
def test_a_term_whose_length_takes_two_bytes_is_found(letters: int) -> None:
    word = ("яю" * 32)[:letters]
    key = word.encode()
    size = bytes([(len(key) + 1) * 2 + 1]) if len(key) < 127 else bytes([0x10, 2, 0, 0])
    if len(key) in {124, 126, 128}:
        size = size if len(key) < 128 else ((len(key) + 4) * 4).to_bytes(4, "little")
        assert word_forms(word, size + key, "gin") == {Encoding.WORD}
    for mark in ("0", "0@"):
        term = (mark + word).encode()
        size = bytes([len(term)]) if len(term) < 128 else bytes([0x81, len(term) - 128])
        assert word_forms(word, size + term) == {Encoding.WORD}


# Files.


SMALL = 128


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in small chunks."""
    monkeypatch.setattr(scanning, "PIECE_BYTES", SMALL)


def test_every_match_in_a_file_has_its_offset_and_its_search_term(
    tmp_path: Path,
) -> None:
    path = tmp_path / "base" / "16384" / "2619"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"-" * 5 + b"jane@example.com" * 2 + b"." * 3 + b"Tom Sawyer")
    found = scan_files([path], tmp_path, patterns_of(["Tom Sawyer", "jane@example.com"]))
    assert sorted(found, key=lambda each: each.offset) == [
        ("base/16384/2619", 5, 1, Encoding.UTF8),
        ("base/16384/2619", 21, 1, Encoding.UTF8),
        ("base/16384/2619", 40, 0, Encoding.UTF8),
    ]


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("shift", range(-20, 2))
@pytest.mark.parametrize("search_term", ["Li Wei", "Tom Sawyer the 2nd"])
def test_a_match_across_two_chunks_is_found_once(
    tmp_path: Path, search_term: str, shift: int
) -> None:
    offsets = [SMALL + shift, 2 * SMALL + shift + 40, 4 * SMALL - 18]
    data = bytearray(4 * SMALL)
    for offset in offsets:
        data[offset : offset + len(search_term)] = search_term.encode()
    path = tmp_path / "file"
    path.write_bytes(data)
    found = scan_files([path], tmp_path, patterns_of([search_term, "somebody else"]))
    assert sorted(each.offset for each in found) == sorted(offsets)


def test_matches_at_the_start_and_end_of_a_file_are_found(tmp_path: Path) -> None:
    for size in range(12, 24):
        path = tmp_path / "file"
        path.write_bytes(b"Li Wei".ljust(size - 6, b".") + b"Li Wei")
        found = scan_files([path], tmp_path, patterns_of(["Li Wei"]))
        assert sorted(each.offset for each in found) == [0, size - 6]


def test_an_empty_file_and_an_empty_list_of_search_terms_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert scan_files([path], tmp_path, patterns_of([SENTENCE])) == []
    path.write_bytes(b"something")
    assert scan_files([path], tmp_path, []) == []


def test_two_search_terms_that_match_the_same_text_are_both_reported() -> None:
    scanner = Scanner(patterns_of(["Jane Doe", "JANE DOE"]))
    assert {pattern.search_term for _, pattern in scanner.find(b"Jane Doe")} == {0, 1}


def test_the_progress_callback_can_stop_a_scan(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(3 * PIECE_BYTES))
    told: list[int] = []

    def go_on(count: int) -> None:
        told.append(count)
        if len(told) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(Scanner(patterns_of([SENTENCE])).scan(PlainFile(path, "file"), go_on))
    assert told == [PIECE_BYTES, PIECE_BYTES]


_BYTES = st.text("ab", min_size=0, max_size=60).map(str.encode)


@given(
    st.lists(st.text("ab", min_size=6, max_size=14).map(str.encode), min_size=1, max_size=8),
    _BYTES,
)
def test_every_match_of_every_pattern_is_found_once(patterns: list[bytes], data: bytes) -> None:
    check_matches(patterns, data)


@given(
    st.integers(0, 9),
    st.lists(st.text("ab", min_size=1, max_size=8).map(str.encode), min_size=20, max_size=60),
    st.lists(st.sampled_from([b"a", b"b", b"abab", b"ababababab"]), max_size=40).map(b"".join),
    st.booleans(),
)
def test_every_match_of_patterns_that_begin_or_end_alike_is_found_once(
    shared: int, others: list[bytes], data: bytes, is_at_end: bool
) -> None:
    common = b"ab" * (3 + shared)
    check_matches([other + common if is_at_end else common + other for other in others], data)


def check_matches(patterns: list[bytes], data: bytes) -> None:
    """Compare what is found with what a search for each pattern at each offset finds."""
    expected = {
        (offset, pattern)
        for pattern in patterns
        for offset in range(len(data))
        if data.startswith(pattern, offset)
    }
    scanner = Scanner(Pattern(pattern, 0, Encoding.UTF8) for pattern in set(patterns))
    found = [(offset, pattern.data) for offset, pattern in scanner.find(data)]
    assert set(found) == expected
    assert len(found) == len(expected)


def test_a_search_is_checked_often_and_can_be_stopped_anywhere() -> None:
    patterns = patterns_of([f"{'x' * 500}{number:03}" for number in range(30)])
    data = b"x" * PIECE_BYTES
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks > 100:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(Scanner(patterns).find(data, check))


def test_a_text_that_fills_a_file_is_found_a_thousand_times() -> None:
    nested = [("abc" * 300)[: 300 + number] for number in range(50)]
    patterns = [Pattern(text.encode(), n, Encoding.UTF8) for n, text in enumerate(nested)]
    found = list(Scanner(patterns).find(b"abc" * 10_000))
    assert len(found) == 50 * MAX_MATCHES
    assert {pattern.search_term for _, pattern in found} == set(range(50))


@given(st.text(min_size=6, max_size=40))
def test_any_text_is_found_where_it_was_written(text: str) -> None:
    scanner = Scanner(patterns_of([text]))
    if len(set(text.encode())) < 3:
        return
    escaped = json.dumps(text)[1:-1].encode()
    for written in (text.encode(), escaped, text.encode().hex().encode()):
        found = {offset for offset, _ in scanner.find(b"<<" + written + b">>")}
        assert 2 in found


# Valid search terms.


@pytest.mark.parametrize("short", ["", "Jane", "12345", "王", "      ", "------", "ababababab"])
def test_search_terms_that_would_match_by_chance_are_rejected(short: str) -> None:
    with pytest.raises(InvalidField) as refused:
        check_search_terms(["Jane Doe", short], "search_terms")
    assert refused.value.fields == ("search_terms[1]",)
    assert "by chance" in refused.value.detail
    assert not short or short not in refused.value.detail


@pytest.mark.parametrize(
    ("search_terms", "field"),
    [
        (["Jane Doe", "x1y" * 342], "search_terms[1]"),
        (["Jane Doe \ud800"], "search_terms[0]"),
        (["Jane Doe \0"], "search_terms[0]"),
        (["Jane Doe"] * (MAX_SEARCH_TERMS + 1), "search_terms"),
        (["Jane Doe " * 100] * 19, "search_terms"),
    ],
)
def test_invalid_search_terms_are_rejected_with_their_field(
    search_terms: list[str], field: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        check_search_terms(search_terms, "search_terms")
    assert refused.value.fields == (field,)
    assert "Jane" not in refused.value.detail


# The engines' own files, before anything is deleted.

EMAIL = "jane.canary@example.com"
SAID = "The Lindqvist papers are in zanzifoxglove, not in zanzibarquell"
LONG = " ".join(f"Then number {number} said: Bergstrom!" for number in range(2_000))


def fill(database: str) -> None:
    """Add a user with messages to a database."""
    with Userkeep.open(database, secret="x" * 16) as client:
        client.user.add(user_id="jane", email=EMAIL, metadata={"note": "Øl-Canary"})
        client.message.add(
            "s1",
            [NewMessage(role="user", content=SAID), NewMessage(role="user", content=LONG)],
            user_id="jane",
        )


def found_in(folder: Path, index: Index) -> dict[str, set[tuple[int, Encoding]]]:
    """Return the search terms that are found in each file, with their encodings."""
    search_terms = [EMAIL, SAID, "2 said: Bergstrom!", "Øl-Canary"]
    words = [distinctive_terms(search_term, ANALYZER) for search_term in search_terms]
    patterns = [*patterns_of(search_terms), *word_patterns_of(words, index)]
    files = [path for path in folder.rglob("*") if path.is_file()]
    found: dict[str, set[tuple[int, Encoding]]] = {}
    for each in scan_files(files, folder, patterns):
        found.setdefault(each.file, set()).add((each.search_term, each.encoding))
    return found


IN_ROWS = {(0, Encoding.UTF8), (1, Encoding.UTF8), (2, Encoding.UTF8)}


def test_sqlite_rows_and_terms_are_found_in_the_wal_and_then_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "userkeep.db"
    with Userkeep.open(path, secret="x" * 16) as client:
        client.user.add(user_id="tom")
        client.message.add("s0", NewMessage(role="user", content=SAID), user_id="tom")
        in_log = found_in(tmp_path, "fts5")["userkeep.db-wal"]
        assert {(1, Encoding.UTF8), (1, Encoding.WORD), (1, Encoding.TAIL)} <= in_log
    fill(str(path))
    found = found_in(tmp_path, "fts5")
    assert set(found) == {"userkeep.db"}
    assert found["userkeep.db"] >= IN_ROWS | {
        (1, Encoding.WORD),
        (1, Encoding.TAIL),
        (3, Encoding.UTF8),
    }


def test_sqlite_free_pages_and_gaps_are_scanned(tmp_path: Path) -> None:
    path = tmp_path / "userkeep.db"
    fill(str(path))
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA secure_delete = 0").fetchall()
        connection.execute("DELETE FROM messages; DELETE FROM sessions; DELETE FROM users")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        assert connection.pragma("freelist_count") > 2
        assert connection.execute("SELECT count(*) FROM users").get == 0
    assert found_in(tmp_path, "fts5")["userkeep.db"] >= IN_ROWS


def test_postgres_rows_terms_and_the_wal_are_scanned() -> None:
    server = postgres_server()
    # Several times, because a page of the log can end in the middle of a text.
    for _ in range(4):
        url = server.new_database()
        fill(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        [(folder, number)] = connection.execute(
            "SELECT current_setting('data_directory'), oid FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchall()
        [(table, index)] = connection.execute(
            "SELECT pg_relation_filepath('messages'), pg_relation_filepath('messages_words')"
        ).fetchall()
    if not Path(folder).is_dir():
        pytest.skip("the server that was given is on another machine")
    found = found_in(Path(folder) / "base" / str(number), "tsvector")
    assert {(1, Encoding.UTF8), (1, Encoding.WORD)} <= found[Path(table).name]
    keys = found_in(Path(folder) / "base" / str(number), "gin")
    assert (1, Encoding.WORD) in keys[Path(index).name]
    assert (1, Encoding.WORD) not in keys[Path(table).name]
    everywhere = set().union(*found.values())
    assert (0, Encoding.UTF8) in everywhere
    log = found_in(Path(folder) / "pg_wal", "tsvector")
    assert {(0, Encoding.UTF8), (1, Encoding.UTF8)} <= set().union(*log.values())
