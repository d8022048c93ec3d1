"""A story: some people's histories in one database, of whom one after the other is deleted.

All of it comes from a seed: who there is, what they do, what is going on while somebody is
deleted, and what goes wrong then. When their erasure says `purged`, no file has anything of
them; and everybody else has all that is theirs.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from random import Random
from threading import Event
from typing import NamedTuple

import apsw

from tests.residue.files import residue
from tests.residue.homes import Home, SqliteHome
from tests.residue.openings import Opening, opened
from tests.residue.people import Life, Person
from tests.residue.texts import Canaries, Texts
from tests.storage.faulty_disk import FaultyDisk
from userkeep import Erasure, NotFound, UserkeepError

PURGE_S = 60
_LOOK_EVERY_S = 0.02


class Plan(NamedTuple):
    """What a seed decides beforehand.

    Attributes:
        is_served: whether a server has the database, or this process.
        is_older: whether an older program has written its beginning.
        deleted: how many people are deleted, one after the other.
        others: how many stay.
        steps: how much is done before each.
    """

    is_served: bool
    is_older: bool
    deleted: int
    others: int
    steps: int


def tell(seed: int, home: Home) -> Plan:
    """Tell the story of a seed, in a database that is not there yet, or empty.

    Raises:
        AssertionError: something is left, or gone, that should not be.
    """
    random = Random(seed)
    plan = Plan(
        is_served=random.random() < 0.3,
        is_older=random.random() < 0.3,
        deleted=random.choice([1, 2, 2, 3, 4]),
        others=random.choice([0, 1, 3, 6]),
        steps=random.choice([3, 15, 40, 40, 80]),
    )
    try:
        with _disk(home, plan) as disk:
            _Story(random, plan, home, disk).tell()
    except BaseException as error:
        error.add_note(f"seed {seed}: {plan}")
        raise
    return plan


@contextmanager
def _disk(home: Home, plan: Plan) -> Iterator[FaultyDisk | None]:
    """The disk of a file that this process opens: it can be full."""
    if plan.is_served or not isinstance(home, SqliteHome):
        yield None
        return
    disk = FaultyDisk()
    try:
        yield disk
    finally:
        disk.error = None
        disk.unregister()


class _Story:
    def __init__(self, random: Random, plan: Plan, home: Home, disk: FaultyDisk | None) -> None:
        self._random = random
        self._plan = plan
        self._home = home
        self._disk = disk
        self._to_be_deleted = [self._person(Canaries(random)) for _ in range(plan.deleted)]
        self._others = [self._person(Texts(random)) for _ in range(plan.others)]
        self._pool = ThreadPoolExecutor(4)
        self._told: list[str] = []
        self._opening: Opening

    def tell(self) -> None:
        """Tell it."""
        people = self._to_be_deleted + self._others
        if self._plan.is_older:
            self._home.write_older(people, self._random)
        with self._pool:
            with opened(self._home, is_served=self._plan.is_served) as opening:
                self._opening = opening
                self._home.prepare()
                lives = [Life(opening.client, self._random, person) for person in people]
                if not self._plan.is_older:
                    for life in lives:
                        life.begin()
                self._go_on(lives)
            self._check_files([person.texts for person in self._to_be_deleted], "at the end")
        self._home.check()

    def _person(self, texts: Texts) -> Person:
        return Person(texts, texts.id("userid"))

    def _go_on(self, lives: list[Life]) -> None:
        to_be_deleted, others = lives[: self._plan.deleted], lives[self._plan.deleted :]
        while to_be_deleted:
            life = to_be_deleted[0]
            for _ in range(self._plan.steps):
                self._random.choice([life, life, *to_be_deleted, *others]).step()
                if self._random.random() < 0.02:
                    self._home.tend(self._random)
            deleted = [to_be_deleted.pop(0) for _ in range(self._how_many(to_be_deleted))]
            self._delete(deleted, [*to_be_deleted, *others])
            if others and self._random.random() < 0.3:
                self._take_back(self._random.choice(others))
        for life in others:
            life.check()

    def _how_many(self, left: list[Life]) -> int:
        return 2 if len(left) > 1 and self._random.random() < 0.2 else 1

    def _delete(self, deleted: list[Life], others: list[Life]) -> None:
        """Several share one purge."""
        for life in deleted:
            life.finish()
        if self._random.random() < 0.4:
            self._home.tend(self._random)
        *before, last = (life.person for life in deleted)
        for person in before:
            self._opening.client.user.delete(person.user_id)
        delete = self._random.choice(self._ways_to_delete())
        self._told.append(delete.__name__)
        erasure = delete(last, others)
        assert erasure.state == "purged", erasure
        self._check_files([life.person.texts for life in deleted], "when they were purged")

    def _take_back(self, life: Life) -> None:
        """Somebody says what they did not mean: one message is edited, another deleted."""
        slips = Canaries(self._random)
        self._told.append("_take_back")
        self._settled(life.take_back(slips))
        self._check_files([slips], "when it was taken back")

    def _check_files(self, of: list[Texts], when: str) -> None:
        canaries = [each for each in of if isinstance(each, Canaries)]
        left = residue(self._home.folders, canaries, self._home.name_of)
        marks = " or ".join(each.mark for each in canaries)
        told = ", ".join(self._told)
        assert not left, "\n".join([f"{marks} is left {when} ({told}):", *left])

    # Deleting somebody, and what is going on meanwhile.

    def _ways_to_delete(self) -> list[Callable[[Person, list[Life]], Erasure]]:
        ways: list[Callable[[Person, list[Life]], Erasure]] = [
            self._at_once,
            self._later,
            self._while_somebody_reads,
            self._while_many_read,
            self._while_others_write,
        ]
        if self._opening.can_be_killed:
            ways += [self._although_killed] * 3
        if self._disk is not None:
            ways += [self._although_the_disk_is_full] * 2
        if not isinstance(self._home, SqliteHome):
            ways += [self._although_the_database_crashes]
        return ways

    def _at_once(self, person: Person, _others: list[Life]) -> Erasure:
        return self._settled(self._opening.client.user.delete(person.user_id, purge="now"))

    def _later(self, person: Person, others: list[Life]) -> Erasure:
        erasure = self._opening.client.user.delete(person.user_id)
        for life in others:
            life.step()
        return self._settled(self._opening.client.erasure.purge(erasure.id))

    def _while_somebody_reads(self, person: Person, others: list[Life]) -> Erasure:
        """Who sees the former state still: nothing is purged before they have ended."""
        client = self._opening.client
        uuid = client.user.get(person.user_id).uuid
        with self._home.snapshot():
            deleting = self._pool.submit(self._at_once, person, others)
            ends = time.monotonic() + self._random.uniform(0, 0.5)
            while time.monotonic() < ends:
                for erasure in client.erasure.list(1, order="-created"):
                    assert (erasure.subject_uuid, erasure.state) != (uuid, "purged")
                assert not deleting.done() or deleting.result() is None
                time.sleep(_LOOK_EVERY_S)
        return deleting.result(PURGE_S)

    def _while_many_read(self, person: Person, others: list[Life]) -> Erasure:
        is_over = Event()

        def read() -> None:
            while not is_over.is_set():
                with self._home.snapshot():
                    time.sleep(_LOOK_EVERY_S)

        reading = [self._pool.submit(read) for _ in range(2)]
        time.sleep(_LOOK_EVERY_S)
        deleting = self._pool.submit(self._at_once, person, others)
        time.sleep(self._random.uniform(0, 0.5))
        is_over.set()
        for each in reading:
            each.result(PURGE_S)
        return deleting.result(PURGE_S)

    def _while_others_write(self, person: Person, others: list[Life]) -> Erasure:
        deleting = self._pool.submit(self._at_once, person, others)
        while others and not deleting.done():
            self._random.choice(others).step()
        return deleting.result(PURGE_S)

    # What goes wrong.

    def _although_killed(self, person: Person, _others: list[Life]) -> Erasure:
        """It goes on by itself after the restart, if it had begun."""
        begun = self._begin_to_delete(person)
        if self._random.random() < 0.5:
            self._wait_for_rewriting()
        time.sleep(self._random.choice([0.01, 0.05, 0.2]) * self._random.random())
        self._opening.kill()
        with suppress(UserkeepError):
            begun.result(PURGE_S)
        return self._taken_up(person)

    def _although_the_disk_is_full(self, person: Person, _others: list[Life]) -> Erasure:
        assert self._disk is not None
        self._disk.file = self._random.choice(["-wal", ".db", ""])
        begun = self._begin_to_delete(person)
        time.sleep(0.1 * self._random.random())
        self._disk.error = apsw.FullError
        time.sleep(0.1 * self._random.random())
        self._disk.error = None
        with suppress(UserkeepError):
            begun.result(PURGE_S)
        return self._taken_up(person)

    def _although_the_database_crashes(self, person: Person, _others: list[Life]) -> Erasure:
        begun = self._begin_to_delete(person)
        if self._random.random() < 0.5:
            self._wait_for_rewriting()
        time.sleep(self._random.choice([0.01, 0.1, 0.3]) * self._random.random())
        self._home.crash()
        with suppress(UserkeepError):
            begun.result(PURGE_S)
        return self._taken_up(person)

    def _wait_for_rewriting(self) -> None:
        ends = time.monotonic() + 1
        while time.monotonic() < ends:
            for erasure in self._opening.client.erasure.list(1, order="-created"):
                if "rewriting" in (erasure.purge.phase or ""):
                    return

    def _begin_to_delete(self, person: Person) -> "Future[Erasure]":
        delete = self._opening.client.user.delete
        return self._pool.submit(lambda: delete(person.user_id, purge="now"))

    def _taken_up(self, person: Person) -> Erasure:
        """Asked again, as an app would: whatever had been done by then."""
        client = self._opening.client
        ends = time.monotonic() + PURGE_S
        while True:
            try:
                return self._settled(client.user.delete(person.user_id, purge="now"))
            except NotFound:
                [erasure] = client.erasure.list(1, order="-created")
                return self._settled(erasure)
            except UserkeepError:
                assert time.monotonic() < ends
                time.sleep(0.2)

    def _settled(self, erasure: Erasure) -> Erasure:
        """The erasure when it is purged: a server does it by itself, an app asks for it."""
        client = self._opening.client
        ends = time.monotonic() + PURGE_S
        while erasure.state != "purged":
            assert time.monotonic() < ends, erasure
            is_under_way = self._opening.can_be_killed and erasure.purge.requested_at is not None
            for left in erasure.purge.skipped_steps:
                self._home.do_what_is_left(left.step, left.reason)
            if is_under_way:
                time.sleep(_LOOK_EVERY_S)
                erasure = client.erasure.get(erasure.id)
            else:
                erasure = client.erasure.purge(erasure.id)
        return erasure
