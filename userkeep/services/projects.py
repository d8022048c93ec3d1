"""Projects: create, read, update and list them. `services.project_deletions` deletes them.

Operations on projects are about the whole instance: they run in any project, and name others.

An operation of a client starts with a look at the state of its project: in one that is being
deleted, it can neither read nor write. On PostgreSQL, a write takes a shared lock before this look
and has it to its end. A deletion marks the project, which later operations see, and then waits
for the lock: from then on, no write is in flight. The default project cannot be deleted, so there
all of this costs nothing.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from userkeep.domain.errors import AlreadyExists, Conflict, Gone, NotFound
from userkeep.domain.project import (
    DEFAULT_PROJECT,
    MAX_PROJECT_ID,
    QUOTAS,
    NewProject,
    Project,
    ProjectChange,
    ProjectState,
    is_project_name,
)
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Operation, Transaction
from userkeep.domain.values.ids import is_uuid
from userkeep.domain.values.paging import PageRequest, Rows

T = TypeVar("T")


def read_in(scope: Scope, service: Callable[..., T], *args: Any, **values: Any) -> Operation[T]:
    """Return the operation of a client that reads in a project; see `enter_to_read`."""

    def read(tx: Transaction) -> T:
        enter_to_read(tx, scope)
        return service(tx, *args, **values)

    return read


def write_in(scope: Scope, service: Callable[..., T], *args: Any, **values: Any) -> Operation[T]:
    """Return the operation of a client that writes in a project; see `enter_to_write`."""

    def write(tx: Transaction) -> T:
        enter_to_write(tx, scope)
        return service(tx, *args, **values)

    return write


def enter_to_read(tx: Transaction, scope: Scope) -> None:
    """Bind the transaction of a client that reads to its project.

    Raises:
        Gone: the project is being deleted. NotFound: it was deleted.
    """
    tx.bind(scope)
    if scope.project_id != DEFAULT_PROJECT:
        _check_state(tx.fetch_apart("project_state", str))


def enter_to_write(tx: Transaction, scope: Scope) -> None:
    """Bind the transaction of a client that writes to its project, as `enter_to_read` does."""
    tx.bind(scope)
    if scope.project_id != DEFAULT_PROJECT:
        tx.defer("lock_writes")
        _check_state(tx.fetch_one("project_state", str))


def add(tx: Transaction, new: NewProject) -> Project:
    """Create a project.

    Raises:
        AlreadyExists: the name is used. Gone: the project with this name is being deleted.
        Conflict: all numbers of projects are used. InvalidField: naming the field.
    """
    new.check()
    while True:
        _check_is_free(tx, new.name)
        number = (tx.fetch_one("greatest_project_id", int) or 0) + 1
        if number > MAX_PROJECT_ID:
            raise Conflict(
                f"This instance has had {MAX_PROJECT_ID:,} projects, deleted ones included; that "
                "is the most it can have. Use another database for further projects."
            )
        added = tx.fetch_one(
            "add_project",
            Project,
            number=number,
            name=new.name,
            uuid=tx.new_uuid(),
            max_messages_per_user=new.max_messages_per_user,
            max_bytes_per_user=new.max_bytes_per_user,
            max_documents_per_user=new.max_documents_per_user,
            now_at=tx.now,
        )
        if added is not None:
            return added
        tx.check_deadline()  # another transaction has used the number or the name


def get(tx: Transaction, key: str) -> Project:
    """Return a project by its name or uuid; a deleted one by its uuid.

    Raises:
        NotFound: there is no such project.
    """
    project = _find(tx, key)
    if project is None:
        raise NotFound(f"There is no project with the name or uuid {key!r}.")
    return project


def wait_for_writes(tx: Transaction) -> None:
    """Wait until no write that `write_in` has admitted to this project is in flight."""
    tx.defer("wait_for_writes")


def find_active(tx: Transaction, name: str) -> Project:
    """Return a project to work in.

    Raises:
        NotFound: there is no such project. Gone: it is being deleted.
    """
    project = _find(tx, name)
    if project is None:
        raise NotFound(
            f"There is no project {name!r}. `userkeep projects create` and `client.project.add` "
            "create one."
        )
    _check_state(project.state)
    return project


def page(tx: Transaction, page: PageRequest) -> Rows[Project]:
    """Return a page of the projects that are not deleted, in the order of their creation."""
    return page.cut(Rows(tx.fetch_all("list_projects", Project, **page.values), has_more=False))


def update(tx: Transaction, key: str, change: ProjectChange) -> Project:
    """Update a project. Nothing changes if all fields have their values already.

    Raises:
        NotFound: there is no such project. Gone: it is being deleted.
        AlreadyExists: the new name is used. Conflict: the default project cannot be renamed.
        InvalidField: naming the field.
    """
    change.check()
    project = lock(tx, key)
    _check_state(project.state)
    name = project.name if change.name is UNSET else change.name
    if name != project.name:
        if project.number == DEFAULT_PROJECT:
            raise Conflict("The project 'default' cannot be renamed.", "name")
        _check_is_free(tx, str(name))
    fields = {
        "name": name,
        **{quota: _quota(project, change, quota) for quota in QUOTAS},
        "do_not_embed": _flag(project, change),
    }
    if all(getattr(project, name) == value for name, value in fields.items()):
        return project
    sweeps = True if fields["do_not_embed"] != project.do_not_embed else None
    changed = tx.fetch_one(
        "set_project", Project, uuid=project.uuid, now_at=tx.now, sweeps=sweeps, **fields
    )
    return changed or project


def _quota(project: Project, change: ProjectChange, name: str) -> int | None:
    given: int | None | UnsetType = getattr(change, name)
    current: int | None = getattr(project, name)
    return current if isinstance(given, UnsetType) else given


def _flag(project: Project, change: ProjectChange) -> int:
    given = change.do_not_embed
    return project.do_not_embed if isinstance(given, UnsetType) else int(given)


def lock(tx: Transaction, key: str) -> Project:
    """Return a project, locked against changes until this transaction ends.

    Raises:
        NotFound: there is no such project.
    """
    project = get(tx, key)
    return tx.fetch_one("lock_project", Project, uuid=project.uuid) or project


def _find(tx: Transaction, key: str) -> Project | None:
    if is_uuid(key):
        return tx.fetch_one("project_by_uuid", Project, uuid=key.lower())
    if not is_project_name(key):
        return None
    return tx.fetch_one("project_by_name", Project, name=key)


def _check_is_free(tx: Transaction, name: str) -> None:
    used = tx.fetch_one("project_by_name", Project, name=name)
    if used is None:
        return
    if used.state == ProjectState.DELETING:
        raise Gone(f"The project with the name {name!r} is being deleted.", "name")
    raise AlreadyExists(f"A project with the name {name!r} already exists.", "name")


def _check_state(state: str | None) -> None:
    if state == ProjectState.DELETING:
        raise Gone("This project is being deleted.")
    if state != ProjectState.ACTIVE:
        raise NotFound("This project was deleted.")
