"""The table of handlers has one handler for each operation of the API."""

import importlib
import pkgutil
from inspect import unwrap

from userkeep import api, handlers
from userkeep.api.operations import OPERATIONS
from userkeep.handlers.idempotency import IdempotentHandler
from userkeep.handlers.table import HANDLERS


def test_every_operation_has_a_handler_and_every_handler_an_operation() -> None:
    assert HANDLERS.keys() == {operation.name for operation in OPERATIONS}


def test_names_and_paths_of_operations_are_unique() -> None:
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)
    assert len({(each.method, each.path) for each in OPERATIONS}) == len(OPERATIONS)


def test_handlers_of_operations_with_an_idempotency_key_can_replay() -> None:
    replaying = {
        name for name, handler in HANDLERS.items() if isinstance(unwrap(handler), IdempotentHandler)
    }
    assert replaying == {each.name for each in OPERATIONS if each.is_idempotent_by_key}


def test_the_tables_contain_those_of_all_modules() -> None:
    operations = [
        operation
        for name in modules(api)
        if name != "operations"
        for operation in getattr(importlib.import_module(f"userkeep.api.{name}"), "OPERATIONS", ())
    ]
    assert {each.name for each in operations} == {each.name for each in OPERATIONS}
    of_nouns = [
        name
        for module in modules(handlers)
        if module != "table"
        for name in getattr(importlib.import_module(f"userkeep.handlers.{module}"), "HANDLERS", {})
    ]
    assert sorted(of_nouns) == sorted(HANDLERS)


def modules(package: object) -> list[str]:
    """Return the names of the modules of a package."""
    return [module.name for module in pkgutil.iter_modules(package.__path__)]  # type: ignore[attr-defined]
