"""How long a backup and a restore take, how much memory they need, and who waits for a backup.

The database has 1,000,000 messages of 100,000 users. A server that is used backs it up: a writer
appends messages as fast as it gets responses, and two readers ask for a user and for the memory of
a session. Beside their waits stand those of a time without a backup, just before it. Then
`userkeep backup` and `userkeep restore` run alone, with a key and with a passphrase.
"""

import argparse
import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from time import perf_counter, sleep
from typing import NamedTuple

from bench.databases import Databases
from bench.harness import requests
from bench.harness.background_clients import BackgroundClient, Window
from bench.harness.report import Report, is_wanted, show
from bench.harness.requests import Size
from bench.harness.servers import PROGRAM, SECRET, Server, ServerHarness
from devtools.markdown import Cells, Table, columns
from userkeep.config import sqlite_path
from userkeep.jobs.backup.age import PrivateKey
from userkeep.jobs.backup.folder import backups_in, name_of
from userkeep.storage.clock import system_time

_SIZE = Size(users=100_000, sessions=20_000)
_QUIET_S = 15.0
_TIMEOUT_S = 600.0
_POLL_S = 0.02
_READERS_PAUSE_S = 0.002

_OF_OTHERS = columns("requests, p99 ms, longest ms, p99 without, longest without", first="client")
_ABOUT_OTHERS = (
    "The waits of others during a backup by the server, and in a time just before it. The backup "
    "took {took_s:.1f} s; the write-ahead log grew to {log_mib:.0f} MiB ({quiet_log_mib:.0f} MiB "
    "before), and the server's memory to {peak_mib:.0f} MiB ({before_mib:.0f} MiB before)."
)
_OF_COMMANDS = columns("seconds, peak MiB, file MiB, database MiB", first="command")
_ABOUT_COMMANDS = "One after the other, without a server."


class Backed(NamedTuple):
    """A backup by a server.

    Attributes:
        window, quiet: while it ran, and before.
        log_bytes, quiet_log_bytes: the largest size of the write-ahead log in both.
        peak_bytes, before_bytes: the memory of the server.
    """

    window: Window
    quiet: Window
    log_bytes: int
    quiet_log_bytes: int
    peak_bytes: int
    before_bytes: int


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    key, passphrase = folder / "backup.key", folder / "passphrase"
    key.write_text(PrivateKey.generate().text)
    passphrase.write_text(secrets.token_hex(16))
    url = databases.seeded(_SIZE, "backed-up")
    harness = ServerHarness(folder, is_pinned=not given.unpinned)
    tables = []
    if is_wanted(given, "server"):
        tables.append(_by_server(harness, url, key, folder))
    rows = [
        show(cells)
        for kind, file in (("key", key), ("passphrase", passphrase))
        if is_wanted(given, kind)
        for cells in _by_command(url, kind, file, folder)
    ]
    tables.append(Table("Commands", _ABOUT_COMMANDS, _OF_COMMANDS, rows))
    return Report(tables, [harness.note])


def _by_server(harness: ServerHarness, url: str, key: Path, folder: Path) -> Table:
    backups = folder / "backups"
    backups.mkdir()
    recent = backups / name_of(system_time(), is_sealed=True)
    recent.touch()  # so that none is due
    settings = {"BACKUP_FOLDER": str(backups), "BACKUP_KEY_FILE": str(key)}
    appends = requests.appends(
        "/v1/sessions/{}/messages", {"role": "user", "content": "x" * 300}, 1
    )
    asked = {
        "writer": appends(_SIZE),
        "reader of users": requests.users("/v1/users/{}")(_SIZE),
        "reader of memories": requests.sessions("/v1/sessions/{}/memory")(_SIZE),
    }
    with harness, harness.serving(url, settings=settings) as server, ExitStack() as stack:
        clients = {
            name: stack.enter_context(
                BackgroundClient(
                    server, cycle(each), pause_s=0 if name == "writer" else _READERS_PAUSE_S
                )
            )
            for name, each in asked.items()
        }
        backed = _wait_for_backup(server, Path(sqlite_path(url)), recent)
    about = _ABOUT_OTHERS.format(
        took_s=backed.window.took_s,
        log_mib=backed.log_bytes / 2**20,
        quiet_log_mib=backed.quiet_log_bytes / 2**20,
        peak_mib=backed.peak_bytes / 2**20,
        before_mib=backed.before_bytes / 2**20,
    )
    rows = [show(_waits(name, client, backed)) for name, client in clients.items()]
    return Table("A backup by the server", about, _OF_OTHERS, rows)


def _wait_for_backup(server: Server, database: Path, recent: Path) -> Backed:
    log = database.with_name(f"{database.name}-wal")
    began = perf_counter()
    quiet_log = max(_sizes(log, until=began + _QUIET_S))
    quiet = Window(began, perf_counter())
    before = server.memory_bytes()
    server.reset_peak_memory()
    folder = recent.parent
    recent.unlink()  # now one is due
    largest = 0
    while not backups_in(folder):
        largest = max(largest, log.stat().st_size)
        assert perf_counter() < quiet.ended + _TIMEOUT_S, "the server makes no backup"
        sleep(_POLL_S)
    ended = perf_counter()
    [made] = backups_in(folder)
    since = time.time() - made.created_at / 1e6
    return Backed(
        Window(ended - since, ended), quiet, largest, quiet_log, server.peak_memory_bytes(), before
    )


def _sizes(file: Path, until: float) -> Iterator[int]:
    while perf_counter() < until:
        yield file.stat().st_size
        sleep(_POLL_S)


def _waits(name: str, client: BackgroundClient, backed: Backed) -> Cells:
    during, without = client.during([backed.window]), client.during([backed.quiet])
    assert during.rejected == without.rejected == 0
    return (
        name,
        f"{len(during.of_windows[0]):,}",
        f"{during.p99_s * 1000:.1f}",
        f"{during.longest_s[0] * 1000:.1f}",
        f"{without.p99_s * 1000:.1f}",
        f"{without.longest_s[0] * 1000:.1f}",
    )


def _by_command(url: str, kind: str, file: Path, folder: Path) -> Iterator[Cells]:
    """Yield a row of a backup and of a restore."""
    out, restored = folder / f"{kind}.tar.age", folder / f"restored-{kind}" / "userkeep.db"
    for name, words, target in (
        ("backup", ("backup", str(out)), url),
        ("restore", ("restore", str(out)), f"sqlite:///{restored}"),
    ):
        seconds, peak_bytes = _measured(*words, f"--{kind}-file", str(file), database_url=target)
        size = Path(sqlite_path(url)).stat().st_size
        yield (
            f"userkeep {name}, with a {kind}",
            f"{seconds:.1f}",
            f"{peak_bytes >> 20:,}",
            f"{out.stat().st_size >> 20:,}",
            f"{size >> 20:,}",
        )
    out.unlink()
    restored.unlink()


def _measured(*words: str, database_url: str) -> tuple[float, int]:
    """Return how many seconds a command takes, and its peak memory in bytes."""
    environment = {name: value for name, value in os.environ.items() if "USERKEEP_" not in name}
    environment |= {"USERKEEP_DATABASE_URL": database_url, "USERKEEP_SECRET": SECRET}
    began, peak_bytes = perf_counter(), 0
    process = subprocess.Popen([*PROGRAM, *words], env=environment, stdout=subprocess.DEVNULL)
    # Not by its resource usage: that counts what the forked process had before its exec.
    while process.poll() is None:
        peak_bytes = max(peak_bytes, _peak_bytes(process.pid))
        sleep(_POLL_S)
    assert process.returncode == 0, words
    return perf_counter() - began, peak_bytes


def _peak_bytes(process_id: int) -> int:
    status = Path(f"/proc/{process_id}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return 0 if found is None else int(found[1]) << 10
