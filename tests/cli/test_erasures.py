"""`userkeep erasures …`: list, show, purge and verify."""

import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from tests.cli.running import is_sentence, userkeep
from tests.cli.terminals import Terminal, on_terminal
from tests.cli.test_data_commands import Run, on, on_each_kind, printed_json, rejected, run
from tests.http.schemas import faults
from userkeep import Userkeep
from userkeep.api.common import Page
from userkeep.api.erasures import Erasure, Verification
from userkeep.api.users import User

__all__ = ["run"]

EMAIL = "jane.qx81vty@example.com"
ADD = ("users", "add", "jane-qx81vty", "--email", EMAIL, "--json")
UNKNOWN = "01a204d3-fd4f-7b04-a503-2bf951c2c06d"


def deleted(run: Run, folder: Path | None = None) -> str:
    """Delete Jane, after copying databases in the folder; return the id of the erasure."""
    printed_json(run(*ADD), User)
    for database in folder.rglob("*.db") if folder else ():
        shutil.copy(database, f"{database}.copy")
    leave = ("users", "delete", "jane-qx81vty", "--yes", "--json")
    erasure_id: str = printed_json(run(*leave), Erasure)["id"]
    return erasure_id


@on_each_kind
def test_erasures_are_listed_and_shown_as_in_the_schemas(run: Run) -> None:
    printed_json(run("users", "add", "tom", "--json"), User)
    nothing = printed_json(run("erasures", "list", "--json"), Page[Erasure])
    assert nothing == {"items": [], "next": None}
    ids = [deleted(run) for _ in range(3)]
    page = printed_json(run("erasures", "list", "--limit", "2", "--json"), Page[Erasure])
    assert [each["id"] for each in page["items"]] == ids[:2]
    again = ("--cursor", page["next"], "--json")
    rest = printed_json(run("erasures", "list", *again), Page[Erasure])
    assert [each["id"] for each in rest["items"]] == ids[2:]
    newest = ("--order=-created", "--all", "--json")
    found = printed_json(run("erasures", "list", *newest), Page[Erasure])
    assert [each["id"] for each in found["items"]] == ids[::-1]
    shown = printed_json(run("erasures", "show", ids[1], "--json"), Erasure)
    assert shown == page["items"][1]


@on_each_kind
def test_deleted_data_is_found_until_no_file_has_it(run: Run, tmp_path: Path) -> None:
    erasure_id = deleted(run, tmp_path)
    file = tmp_path / "terms.txt"
    file.write_bytes(f"{EMAIL}\r\n\nnobody ever said this\n".encode())
    terms = ("--search-term", "nor zyxophone7", "--search-terms-from", str(file))
    ask = ("erasures", "verify", erasure_id, "--subject-id", "jane-qx81vty", *terms, "--json")
    found = run(*ask)
    assert (found.returncode, found.stderr) == (3, "")
    value = json.loads(found.stdout)
    (schema,), parts = msgspec.json.schema_components([Verification], ref_template="#/$defs/{name}")
    assert list(faults(value, schema, {"$defs": parts})) == []
    assert value["found"] is True
    assert {hit["search_term"] for hit in value["hits"]} == {1, None}
    assert all(hit["where"].startswith("file ") for hit in value["hits"])

    purged = printed_json(run("erasures", "purge", erasure_id, "--json"), Erasure)
    assert purged["state"] == "purged"
    for copy in tmp_path.rglob("*.copy"):
        copy.unlink()
    clean = printed_json(run(*ask), Verification)
    assert (clean["found"], clean["hits"]) == (False, [])
    assert EMAIL not in json.dumps(clean)


def test_search_terms_are_read_from_stdin(run: Run, tmp_path: Path) -> None:
    erasure_id = deleted(run, tmp_path)
    ask = ("erasures", "verify", erasure_id, "--search-terms-from", "-", "--json")
    assert run(*ask, given=f"{EMAIL}\n").returncode == 3
    assert run(*ask, given="nobody ever said this").returncode == 0
    assert run(*ask, given="").returncode == 7
    assert run(*ask, given=f"\ufeff{EMAIL}\r\n").returncode == 3


def test_an_inconclusive_verification_has_an_exit_code_and_lists_short_words(run: Run) -> None:
    erasure_id = deleted(run)
    run("erasures", "purge", erasure_id)
    ask = ("erasures", "verify", erasure_id, "--subject-id", "jane-qx81vty")
    done = run(*ask, "--search-term", "Xy Zq Vw")
    assert (done.returncode, done.stderr) == (7, "")
    assert re.search(r"result +inconclusive *\n", done.stdout)
    assert "not looked for in the index: Xy, Zq, Vw (of search_terms[0])" in done.stdout
    printed = json.loads(run(*ask, "--search-term", "Xy Zq Vw", "--json").stdout)
    assert printed["result"] == "inconclusive"
    assert len(printed["short_words"]) == 3
    assert run(*ask, "--search-term", "Xylophones Zq").returncode == 0


def test_search_terms_in_utf_16_are_rejected(run: Run, tmp_path: Path) -> None:
    erasure_id = deleted(run)
    (tmp_path / "terms.txt").write_bytes(f"{EMAIL}\n".encode("utf-16"))
    ask = ("erasures", "verify", erasure_id, "--search-terms-from", str(tmp_path / "terms.txt"))
    assert "it is UTF-16, not UTF-8" in rejected(run(*ask), 2)


def test_an_error_message_does_not_have_the_search_term(run: Run) -> None:
    erasure_id = deleted(run)
    for words in (
        ("--search-term", "qx81"),
        ("--search-term", EMAIL, "--search-term", "qx81vty " * 200),
        ("--subject-id", "qx81vtx"),
    ):
        sentence = rejected(run("erasures", "verify", erasure_id, *words), 1)
        assert "qx81" not in sentence
    for what in ("show", "purge", "verify"):
        assert "no erasure" in rejected(run("erasures", what, UNKNOWN), 4)


def test_search_terms_that_are_not_text_are_wrong_usage(tmp_path: Path) -> None:
    here = on(tmp_path)
    erasure_id = deleted(here)
    (tmp_path / "terms").write_bytes(b"\xff\xfe\x00")
    result = here("erasures", "verify", erasure_id, "--search-terms-from", "terms")
    assert (result.returncode, is_sentence(result.stderr)) == (2, True)
    assert here("erasures", "verify", erasure_id, "--search-terms-from", "nowhere").returncode == 2


def test_a_verification_is_printed_with_places_and_scanned_files(tmp_path: Path) -> None:
    here = on(tmp_path)
    erasure_id = deleted(here, tmp_path)
    shown = here("erasures", "list").stdout.splitlines()
    assert re.fullmatch(rf"{erasure_id} +user +deleted +1 user +(just now|.* ago) *", shown[2])
    assert re.search(
        r"^subject +user [0-9a-f-]{36} *$", here("erasures", "show", erasure_id).stdout, re.M
    )

    found = here(
        "erasures", "verify", erasure_id, "--search-term", EMAIL, "--search-term", "never said"
    )
    assert re.search(
        r"^file userkeep\.db\.copy at \d+ +search_terms\[0\] +utf-8 +\d+ *$", found.stdout, re.M
    )
    assert re.search(r"^found +\d+ places *$", found.stdout, re.M)
    assert re.search(r"^scanned +table users, 0 rows *$", found.stdout, re.M)
    assert re.search(r"^ +file userkeep\.db, \d+ KiB *$", found.stdout, re.M)
    assert re.search(r"^(skipped)? +file userkeep\.db-shm", found.stdout, re.M)
    assert EMAIL not in found.stdout + found.stderr
    none = here("erasures", "verify", erasure_id, "--search-term", "never said")
    assert re.search(r"^found +nothing in what was scanned *$", none.stdout, re.M)


@pytest.mark.parametrize("columns", [80, 120])
def test_output_fits_the_terminal(tmp_path: Path, columns: int) -> None:
    erasure_id = deleted(on(tmp_path), tmp_path)
    for words in (("list",), ("show", erasure_id), ("verify", erasure_id, "--search-term", EMAIL)):
        terminal = on_terminal("erasures", *words, folder=tmp_path, columns=columns)
        assert max(len(line) for line in terminal.text.splitlines()) <= columns


def test_a_terminal_prompts_for_search_terms(tmp_path: Path) -> None:
    erasure_id = deleted(on(tmp_path), tmp_path)
    words = ("erasures", "verify", erasure_id, "--search-terms-from", "-")
    with Terminal(*words, folder=tmp_path) as terminal:
        terminal.read_until("Search term")
        terminal.type(f"{EMAIL}\n")
        terminal.read_until(f"{EMAIL}\nSearch term")
        terminal.type("\n")
        terminal.read_to_end()
    assert terminal.code == 3
    assert "search_terms[0]" in terminal.text


def test_a_database_without_erasures_has_an_empty_list(tmp_path: Path) -> None:
    with Userkeep.open(tmp_path / "m.db") as client:
        client.user.add(user_id="jane")
    result = userkeep("erasures", "list", "--database", "m.db", folder=tmp_path)
    assert (result.returncode, result.stdout.strip()) == (0, "No erasures.")
