"""A random history of some users in one database, who are deleted one after the other.

A seed decides everything: the users, what they do, what happens during a deletion, and what fails.
Once the erasure of a user is `purged`, no file contains data of the user; and the data of all other
users is complete.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from random import Random
from threading import Event
from typing import NamedTuple

import apsw

from tests.residue.databases import Database, SqliteDatabase
from tests.residue.files import find_residue
from tests.residue.instances import Instance, running
from tests.residue.texts import Canaries, Texts
from tests.residue.users import ExpectedUser, UserSimulation
from tests.storage.faulty_disk import FaultyDisk
from userkeep import Erasure, NotFound, UserkeepError

PURGE_S = 60
_POLL_EVERY_S = 0.02


class Plan(NamedTuple):
    """The parameters of a history.

    Attributes:
        is_served: whether a server has the database open, or this process.
        starts_unindexed: whether the first data is written directly with SQL; see unindexed.
        deleted: how many users are deleted, one after the other.
        others: how many users are not deleted.
        steps: how many steps there are before each deletion.
    """

    is_served: bool
    starts_unindexed: bool
    deleted: int
    others: int
    steps: int


def run_history(seed: int, database: Database) -> Plan:
    """Run the history of a seed in a new or empty database.

    Raises:
        AssertionError: there is residue of deleted data, or other data is missing.
    """
    random = Random(seed)
    plan = Plan(
        is_served=random.random() < 0.3,
        starts_unindexed=random.random() < 0.3,
        deleted=random.choice([1, 2, 2, 3, 4]),
        others=random.choice([0, 1, 3, 6]),
        steps=random.choice([3, 15, 40, 40, 80]),
    )
    try:
        with _disk(database, plan) as disk:
            _History(random, plan, database, disk).run()
    except BaseException as error:
        error.add_note(f"seed {seed}: {plan}")
        raise
    return plan


@contextmanager
def _disk(database: Database, plan: Plan) -> Iterator[FaultyDisk | None]:
    """Yield a simulated disk that can be full, if this process opens the file."""
    if plan.is_served or not isinstance(database, SqliteDatabase):
        yield None
        return
    disk = FaultyDisk()
    try:
        yield disk
    finally:
        disk.error = None
        disk.unregister()


class _History:
    def __init__(
        self, random: Random, plan: Plan, database: Database, disk: FaultyDisk | None
    ) -> None:
        self._random = random
        self._plan = plan
        self._database = database
        self._disk = disk
        self._deleted_users = [self._user(Canaries(random)) for _ in range(plan.deleted)]
        self._others = [self._user(Texts(random)) for _ in range(plan.others)]
        self._pool = ThreadPoolExecutor(4)
        self._log: list[str] = []
        self._instance: Instance

    def run(self) -> None:
        """Run the history."""
        users = self._deleted_users + self._others
        if self._plan.starts_unindexed:
            self._database.write_unindexed(users, self._random)
        with self._pool:
            with running(self._database, is_served=self._plan.is_served) as instance:
                self._instance = instance
                self._database.prepare()
                simulations = [
                    UserSimulation(instance.client, self._random, user) for user in users
                ]
                if not self._plan.starts_unindexed:
                    for simulation in simulations:
                        simulation.begin()
                self._simulate(simulations)
            self._check_files([user.texts for user in self._deleted_users], "at the end")
        self._database.check()

    def _user(self, texts: Texts) -> ExpectedUser:
        return ExpectedUser(texts, texts.id("userid"))

    def _simulate(self, simulations: list[UserSimulation]) -> None:
        remaining, others = simulations[: self._plan.deleted], simulations[self._plan.deleted :]
        while remaining:
            simulation = remaining[0]
            for _ in range(self._plan.steps):
                self._random.choice([simulation, simulation, *remaining, *others]).step()
                if self._random.random() < 0.02:
                    self._database.maintain(self._random)
                if self._random.random() < 0.1:
                    self._instance.embed(self._random)
            self._instance.embed(self._random)
            deleted = [remaining.pop(0) for _ in range(self._number_to_delete(remaining))]
            self._delete(deleted, [*remaining, *others])
            if others and self._random.random() < 0.3:
                self._edit_and_delete(self._random.choice(others))
        for simulation in others:
            simulation.check()

    def _number_to_delete(self, left: list[UserSimulation]) -> int:
        return 2 if len(left) > 1 and self._random.random() < 0.2 else 1

    def _delete(self, deleted: list[UserSimulation], others: list[UserSimulation]) -> None:
        """Delete one or two users with one purge."""
        for simulation in deleted:
            simulation.set_owners()
        if self._random.random() < 0.4:
            self._database.maintain(self._random)
        *before, last = (simulation.model for simulation in deleted)
        for user in before:
            self._instance.client.user.delete(user.user_id)
        delete = self._random.choice(self._deletions())
        self._log.append(delete.__name__)
        erasure = delete(last, others)
        assert erasure.state == "purged", erasure
        self._check_files([simulation.model.texts for simulation in deleted], "after the purge")

    def _edit_and_delete(self, simulation: UserSimulation) -> None:
        """Edit a message with canaries, and delete another one."""
        canaries = Canaries(self._random)
        self._log.append("_edit_and_delete")
        self._wait_until_purged(simulation.edit_and_delete(canaries))
        self._check_files([canaries], "after the purge of messages")

    def _check_files(self, of: list[Texts], when: str) -> None:
        canaries = [each for each in of if isinstance(each, Canaries)]
        left = find_residue(self._database.folders, canaries, self._database.name_of)
        marks = " or ".join(each.mark for each in canaries)
        log = ", ".join(self._log)
        assert not left, "\n".join([f"residue of {marks} {when} ({log}):", *left])

    # Deletions, and what happens during them.

    def _deletions(self) -> list[Callable[[ExpectedUser, list[UserSimulation]], Erasure]]:
        deletions: list[Callable[[ExpectedUser, list[UserSimulation]], Erasure]] = [
            self._immediately,
            self._with_a_later_purge,
            self._during_a_read,
            self._during_many_reads,
            self._during_writes,
        ]
        if self._instance.can_be_killed:
            deletions += [self._with_a_kill] * 3
        if self._disk is not None:
            deletions += [self._with_a_full_disk] * 2
        if not isinstance(self._database, SqliteDatabase):
            deletions += [self._with_a_database_crash]
        return deletions

    def _immediately(self, user: ExpectedUser, _others: list[UserSimulation]) -> Erasure:
        return self._wait_until_purged(self._instance.client.user.delete(user.user_id, purge="now"))

    def _with_a_later_purge(self, user: ExpectedUser, others: list[UserSimulation]) -> Erasure:
        erasure = self._instance.client.user.delete(user.user_id)
        for simulation in others:
            simulation.step()
        return self._wait_until_purged(self._instance.client.erasure.purge(erasure.id))

    def _during_a_read(self, user: ExpectedUser, others: list[UserSimulation]) -> Erasure:
        """Nothing is purged while a reader still sees the earlier state."""
        client = self._instance.client
        uuid = client.user.get(user.user_id).uuid
        with self._database.snapshot():
            deleting = self._pool.submit(self._immediately, user, others)
            ends = time.monotonic() + self._random.uniform(0, 0.5)
            while time.monotonic() < ends:
                for erasure in client.erasure.list(1, order="-created"):
                    assert (erasure.subject_uuid, erasure.state) != (uuid, "purged")
                assert not deleting.done() or deleting.result() is None
                time.sleep(_POLL_EVERY_S)
        return deleting.result(PURGE_S)

    def _during_many_reads(self, user: ExpectedUser, others: list[UserSimulation]) -> Erasure:
        stop = Event()

        def read() -> None:
            while not stop.is_set():
                with self._database.snapshot():
                    time.sleep(_POLL_EVERY_S)

        reading = [self._pool.submit(read) for _ in range(2)]
        time.sleep(_POLL_EVERY_S)
        deleting = self._pool.submit(self._immediately, user, others)
        time.sleep(self._random.uniform(0, 0.5))
        stop.set()
        for each in reading:
            each.result(PURGE_S)
        return deleting.result(PURGE_S)

    def _during_writes(self, user: ExpectedUser, others: list[UserSimulation]) -> Erasure:
        deleting = self._pool.submit(self._immediately, user, others)
        while others and not deleting.done():
            self._random.choice(others).step()
        return deleting.result(PURGE_S)

    # Failures.

    def _with_a_kill(self, user: ExpectedUser, _others: list[UserSimulation]) -> Erasure:
        """A started deletion resumes automatically after the restart."""
        deleting = self._start_deletion(user)
        if self._random.random() < 0.5:
            self._wait_until_rewriting()
        time.sleep(self._random.choice([0.01, 0.05, 0.2]) * self._random.random())
        self._instance.kill()
        with suppress(UserkeepError):
            deleting.result(PURGE_S)
        return self._retry(user)

    def _with_a_full_disk(self, user: ExpectedUser, _others: list[UserSimulation]) -> Erasure:
        assert self._disk is not None
        self._disk.file = self._random.choice(["-wal", ".db", ""])
        deleting = self._start_deletion(user)
        time.sleep(0.1 * self._random.random())
        self._disk.error = apsw.FullError
        time.sleep(0.1 * self._random.random())
        self._disk.error = None
        with suppress(UserkeepError):
            deleting.result(PURGE_S)
        return self._retry(user)

    def _with_a_database_crash(self, user: ExpectedUser, _others: list[UserSimulation]) -> Erasure:
        deleting = self._start_deletion(user)
        if self._random.random() < 0.5:
            self._wait_until_rewriting()
        time.sleep(self._random.choice([0.01, 0.1, 0.3]) * self._random.random())
        self._database.crash()
        with suppress(UserkeepError):
            deleting.result(PURGE_S)
        return self._retry(user)

    def _wait_until_rewriting(self) -> None:
        ends = time.monotonic() + 1
        while time.monotonic() < ends:
            for erasure in self._instance.client.erasure.list(1, order="-created"):
                if "rewriting" in (erasure.purge.phase or ""):
                    return

    def _start_deletion(self, user: ExpectedUser) -> "Future[Erasure]":
        delete = self._instance.client.user.delete
        return self._pool.submit(lambda: delete(user.user_id, purge="now"))

    def _retry(self, user: ExpectedUser) -> Erasure:
        """Delete again, as an app would do, whatever has been done already."""
        client = self._instance.client
        ends = time.monotonic() + PURGE_S
        while True:
            try:
                return self._wait_until_purged(client.user.delete(user.user_id, purge="now"))
            except NotFound:
                [erasure] = client.erasure.list(1, order="-created")
                return self._wait_until_purged(erasure)
            except UserkeepError:
                assert time.monotonic() < ends
                time.sleep(0.2)

    def _wait_until_purged(self, erasure: Erasure) -> Erasure:
        """Wait until the erasure is purged: a server purges automatically, an app requests it."""
        client = self._instance.client
        ends = time.monotonic() + PURGE_S
        while erasure.state != "purged":
            assert time.monotonic() < ends, erasure
            is_running = self._instance.can_be_killed and erasure.purge.requested_at is not None
            for left in erasure.purge.skipped_steps:
                self._database.do_skipped_step(left.step, left.reason)
            if is_running:
                time.sleep(_POLL_EVERY_S)
                erasure = client.erasure.get(erasure.id)
            else:
                erasure = client.erasure.purge(erasure.id)
        return erasure
