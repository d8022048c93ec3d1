"""Every query of a project gets the project from the scope that its transaction is bound to."""

import ast
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.conftest import ENGINES, fresh_settings
from userkeep import services
from userkeep.domain.errors import NotFound
from userkeep.domain.transaction import Transaction, scoped
from userkeep.domain.user import NewUser, User
from userkeep.instance import Instance, open_instance
from userkeep.services import users

ABOUT_ALL_PROJECTS = {
    "authentication.py",
    "purges.py",
    "instance.py",
    "reindexing.py",
    "rotation.py",
}


@pytest.fixture(params=ENGINES, ids=lambda name: name.replace(" ", "_"))
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Instance]:
    with closing(open_instance(fresh_settings(request.param, tmp_path))) as opened:
        yield opened


def test_a_query_that_names_another_project_gets_the_one_of_its_scope(instance: Instance) -> None:
    def read(tx: Transaction) -> User | None:
        return tx.fetch_one("get_user", User, project_id=2, user_id="jane")

    instance.engine.write(scoped(instance.scope, users.add, NewUser(user_id="jane")))
    found = instance.engine.read(scoped(instance.scope, read))
    assert found is not None
    other = msgspec.structs.replace(instance.scope, project_id=2)
    with pytest.raises(NotFound):
        instance.engine.read(scoped(other, users.get, "jane"))


@pytest.mark.parametrize("is_write", [True, False], ids=["write", "read"])
def test_a_query_of_a_project_fails_outside_a_scope(instance: Instance, is_write: bool) -> None:
    run = instance.engine.write if is_write else instance.engine.read
    with pytest.raises(KeyError, match="project_id"):
        run(lambda tx: users.get(tx, "jane"))
    with pytest.raises(LookupError, match="not bound to a scope"):
        run(lambda tx: tx.scope)


def test_a_transaction_is_bound_to_one_project_for_good(instance: Instance) -> None:
    other = msgspec.structs.replace(instance.scope, project_id=2)

    def rebind(tx: Transaction) -> None:
        tx.in_scope(other)

    for run in (instance.engine.write, instance.engine.read):
        with pytest.raises(LookupError, match="bound to another project"):
            run(scoped(instance.scope, rebind))


def test_no_service_of_one_project_names_a_project() -> None:
    for file in Path(services.__path__[0]).glob("*.py"):
        if file.name in ABOUT_ALL_PROJECTS:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.keyword):
                assert node.arg != "project_id", (file.name, node.value.lineno)
            if isinstance(node, ast.Constant):
                assert node.value != "project_id", (file.name, node.lineno)
