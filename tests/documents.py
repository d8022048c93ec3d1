"""Collections and documents in an open instance, for tests that look at what becomes of them."""

from typing import Any

from userkeep.domain.collection import NewCollection
from userkeep.domain.document import NewDocument
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import scoped
from userkeep.instance import Instance
from userkeep.services import collections, documents

DIMENSIONS = 8


def embedding(first: float = 1.0) -> list[float]:
    """Return an embedding, which is distinguished by its first number."""
    return [first, *[0.25] * (DIMENSIONS - 1)]


def write(
    instance: Instance, service: Any, *args: Any, scope: Scope | None = None, **more: Any
) -> Any:
    """Run a service that writes, in the scope of the instance."""
    return instance.engine.write(scoped(scope or instance.scope, service, *args, **more))


def add_collection(instance: Instance, name: str, *new: NewDocument) -> None:
    """Add a collection that the caller embeds, with documents."""
    created = NewCollection(name=name, description="what I read", dimensions=DIMENSIONS)
    write(instance, collections.add, created)
    write(instance, documents.add, name, documents.prepare(new))


def populate_collections(instance: Instance) -> int:
    """Add documents of jane and of no user, and leave the deletion of a collection unfinished.

    Returns:
        How many documents there are.
    """
    add_collection(
        instance,
        "papers",
        NewDocument(
            content="about shoes", document_id="a", embedding=embedding(), metadata={"n": 1}
        ),
        NewDocument(content="about jane", user_id="jane", embedding=embedding(0.5)),
    )
    add_collection(instance, "gone", NewDocument(content="about hats", embedding=embedding(2)))
    write(instance, collections.begin_deletion, "gone")
    return 3
