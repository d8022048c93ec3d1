"""Generates the tables and lists of docs/reference/*.md from the code.

    python scripts/generate_reference.py           write the pages
    python scripts/generate_reference.py --check   exit with 1 if a page is out of date

A page is written by hand, except for what is between `<!-- generated: name -->` and
`<!-- /generated -->`. A part without a place and a place without a part are errors.
"""

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from types import FunctionType
from typing import Any, get_overloads

import click
import msgspec

import userkeep
from userkeep.api.operation import ERRORS_OF_ALL, APIOperation
from userkeep.api.operations import OPERATIONS
from userkeep.api.prompts import Prompts
from userkeep.cli import main as command_line
from userkeep.cli.options import SettingsCommand
from userkeep.config import ClientSettings, Settings, flag_of, variable_of
from userkeep.domain import errors
from userkeep.domain.errors import UserkeepError
from userkeep.http.errors import STATUS_OF_CODE, MethodNotAllowed
from userkeep.http.openapi import openapi_document
from userkeep.sdk._sync.client import Client
from userkeep.sdk.requests import NewMessage

PAGES = Path(__file__).parent.parent / "docs" / "reference"
WIDTH = 100

_PLACE = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(\n<!-- /generated -->)", re.DOTALL)
_NOT_RUN = "<!-- not run: an example from the --help of the command -->"

Part = Callable[[], Iterator[str]]


def table(*rows: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a Markdown table; the first row is the header."""
    for number, row in enumerate(rows):
        yield f"| {' | '.join(_cell(text) for text in row)} |"
        if number == 0:
            yield f"|{'---|' * len(row)}"


def _cell(text: str) -> str:
    return _prose(text).replace("|", "\\|")


def _prose(text: str) -> str:
    return " ".join(text.split())


# Settings


def settings() -> Iterator[str]:
    """Yield the table of a server's settings."""
    yield from _settings_of(Settings)


def client_settings() -> Iterator[str]:
    """Yield the table of the settings with which the command line finds a server."""
    yield from _settings_of(ClientSettings)


def _settings_of(kind: Any) -> Iterator[str]:
    yield from table(
        # In one column: four do not fit beside the contents of a wide page.
        ("variable, flag", "default", "meaning"),
        *(
            (
                f"`{variable_of(each.name)}`"
                + (f" `{flag_of(each.name)}`" if each.metadata["flag"] else ""),
                "" if each.default in {"", ()} else f"`{str(each.default).lower()}`",
                each.metadata["help"],
            )
            for each in fields(kind)
        ),
    )


# Commands


def commands() -> Iterator[str]:
    """Yield every command with its help, depth first."""
    context = click.Context(command_line, info_name="userkeep")
    for path, command in _commands(context, command_line):
        yield f"{'#' * path.count(' ')}# `{path}`"
        yield ""
        yield from _command(path, command)


def overview() -> Iterator[str]:
    """Yield what is common to all commands, and a table of them."""
    for paragraph in inspect.cleandoc(command_line.help or "").split("\n\n")[1:]:
        if not paragraph.startswith("\b"):
            yield from (_prose(paragraph), "")
    context = click.Context(command_line, info_name="userkeep")
    yield from table(
        ("command", "what it does"),
        *(
            (f"[`{path}`](#{path.replace(' ', '-')})", _first_sentence(command.help or ""))
            for path, command in _commands(context, command_line)
            if not isinstance(command, click.Group)
        ),
    )


def _commands(context: click.Context, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        below = click.Context(command, info_name=name, parent=context)
        yield below.command_path, command
        if isinstance(command, click.Group):
            yield from _commands(below, command)


def _command(path: str, command: click.Command) -> Iterator[str]:
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        lines = paragraph.splitlines()
        if lines and lines[0].strip() == "\b":
            yield from (_NOT_RUN, "```sh", *lines[1:], "```", "")
        else:
            yield from (" ".join(lines), "")
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    options = [
        each for each in command.params if isinstance(each, click.Option) and not each.hidden
    ]
    named = "".join(f" {each.make_metavar(click.Context(command))}" for each in arguments)
    below = " COMMAND …" if isinstance(command, click.Group) else ""
    flags = " [OPTIONS]" if options else ""
    yield from (f"Usage: `{path}{flags}{named}{below}`", "")
    if isinstance(command, SettingsCommand):
        for heading, below_it in command.sections().items():
            yield from (f"**{heading}**", "")
            yield from _options([each for each in options if each in below_it])
    elif options:
        yield from _options(options)


def _options(options: Iterable[click.Option]) -> Iterator[str]:
    yield from table(("option", "meaning"), *(_option(each) for each in options))
    yield ""


def _option(option: click.Option) -> tuple[str, str]:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    kind = ""
    if isinstance(option.type, click.Choice):
        kind = f" `{'|'.join(map(str, option.type.choices))}`"
    elif not option.is_flag and not option.count:
        kind = f" `{option.metavar or option.type.name.upper()}`"
    return names + kind, (option.help or "").replace("\b", "").replace("<", "&lt;")


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.) ", _prose(text.partition("\n\n")[0]))[0]


# The HTTP API


def operations() -> Iterator[str]:
    """Yield every operation of the native API, by noun."""
    document = json.loads(openapi_document())
    noun = ""
    for operation in OPERATIONS:
        if operation.noun != noun:
            noun = operation.noun
            yield from (f"### Operations on {noun}", "")
        described = document["paths"][operation.path][operation.method.lower()]
        yield from (f"#### `{operation.method} {operation.path}`", "")
        yield " ".join(filter(None, (f"{described['summary']}.", described["description"])))
        yield ""
        yield from _traffic(described)
        yield from _errors(operation)


def types() -> Iterator[str]:
    """Yield every type of the native API."""
    schemas = json.loads(openapi_document())["components"]["schemas"]
    for name, schema in sorted(schemas.items()):
        if "properties" not in schema or name.startswith(
            ("List", "Dated", "Filtered", "Get", "Page")
        ):
            continue
        yield from (f"### {_type_name(name)}", "")
        if schema.get("description"):
            yield from (_prose(schema["description"]), "")
        yield from _fields(schema)
        yield ""


_QUERIES_AND_PAGES = ("List", "Dated", "Filtered", "Get", "Page")


def _traffic(described: dict[str, Any]) -> Iterator[str]:
    for parameter in described["parameters"]:
        schema = parameter["schema"]
        type_ = f"{_kind(schema)}{_default(schema)}"
        if parameter["in"] != "path":
            where = "header" if parameter["in"] == "header" else "query"
            yield f"- {where} `{parameter['name']}` ({type_}): {parameter['description']}"
    if "requestBody" in described:
        yield f"- body: {_kind(_content(described['requestBody']))}"
    for status, answer in described["responses"].items():
        if status.startswith("2"):
            yield f"- {status}: {_kind(_content(answer))}; {answer['description']}"


def _errors(operation: APIOperation) -> Iterator[str]:
    """Yield the errors of an operation that not every operation has."""
    own = [
        f"{error.status} `{error.code}`"
        for error in operation.all_errors
        if error not in ERRORS_OF_ALL
    ]
    if own:
        yield f"- errors: {', '.join(own)}"
    yield ""


def _content(described: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = described["content"]["application/json"]["schema"]
    return schema


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    required = set(schema.get("required", ()))
    yield from table(
        ("field", "type", "meaning"),
        *(
            (
                f"`{name}`" + ("" if name in required else " (optional)"),
                _kind(each) + _default(each),
                _meaning(each),
            )
            for name, each in schema["properties"].items()
        ),
    )


def _meaning(schema: dict[str, Any]) -> str:
    """Return the description of a schema, or of the first of its alternatives that has one."""
    kinds = [schema, *schema.get("anyOf", ())]
    return next((each["description"] for each in kinds if "description" in each), "")


def _kind(schema: dict[str, Any]) -> str:
    """Describe a JSON schema in words."""
    if "$ref" in schema:
        name = _type_name(schema["$ref"].rpartition("/")[2])
        if name.startswith("page of "):
            one = name.removeprefix("page of ")
            return f"page of [{one}](#{one.lower()})"
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "contentSchema" in schema:
        return f"{_kind(schema['contentSchema'])} as JSON"
    kind = schema.get("type", "any JSON")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if schema.get("format") == "date-time":
        return "time"
    bounds = [schema.get("minimum"), schema.get("maximum")]
    return f"{kind}, {bounds[0]} to {bounds[1]}" if None not in bounds else str(kind)


def _default(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    return "" if default in (None, "", [], {}) else f", default `{default}`"


def _type_name(name: str) -> str:
    page = re.fullmatch(r"Page_(\w+?)_", name)
    return f"page of {page[1]}" if page else name


# The SDK


def client() -> Iterator[str]:
    """Yield both clients, and the methods of each noun."""
    for kind in (userkeep.Userkeep, userkeep.AsyncUserkeep):
        yield from (f"## {kind.__name__}", "")
        yield from (*_docstring(kind), "")
        yield from _called(kind.__name__, kind.__init__)
        if kind is userkeep.Userkeep:
            yield from _method(f"{kind.__name__}.open", kind.open)
            yield from _method("client.search", kind.search)
            yield from _method("client.close", kind.close)
    for noun in _nouns():
        yield from (f"## client.{noun.name}", "")
        yield from (*_docstring(noun.kind), "")
        for name, method in vars(noun.kind).items():
            if not name.startswith("_"):
                yield from _method(f"client.{noun.name}.{name}", method)


def sdk_types() -> Iterator[str]:
    """Yield the types of requests and results."""
    requests = [
        userkeep.CreateUserRequest,
        userkeep.UpdateUserRequest,
        userkeep.CreateSessionRequest,
        userkeep.UpdateSessionRequest,
        NewMessage,
    ]
    answers = [
        userkeep.User,
        userkeep.Session,
        userkeep.Message,
        userkeep.Memory,
        userkeep.Messages,
        userkeep.Hits,
        userkeep.ExplainedQuery,
        userkeep.Hit,
        userkeep.FoundMessage,
        userkeep.Snippet,
        userkeep.Explanation,
        userkeep.Erasure,
        userkeep.Page,
        userkeep.MessagePage,
    ]
    for kind in (*requests, *answers):
        yield from (f"### {kind.__name__}", "")
        yield from (*_docstring(kind), "")
        if kind in answers and issubclass(kind, msgspec.Struct):
            named = ", ".join(f"`{name}`" for name in kind.__struct_fields__)
            yield from (
                f"Fields: {named}; see [{kind.__name__}](http.md#{kind.__name__.lower()}).",
                "",
            )
        for name, method in vars(Prompts if kind is userkeep.Messages else kind).items():
            if not name.startswith("_") and isinstance(method, classmethod | FunctionType):
                yield from _type_method(kind, name)


def _type_method(kind: type, name: str) -> Iterator[str]:
    yield from (f"#### {kind.__name__}.{name}", "")
    yield from _called(f"{kind.__name__}.{name}", getattr(kind, name))


class _Noun:
    """A part of a client: `client.user`."""

    def __init__(self, name: str, kind: type) -> None:
        self.name = name
        self.kind = kind


def _nouns() -> Iterator[_Noun]:
    class NoTransport:
        """A transport that is never called: only the attributes of the client are read."""

    for name, part in vars(Client(NoTransport())).items():  # type: ignore[arg-type]
        if not name.startswith("_"):
            yield _Noun(name, type(part))


def _method(name: str, method: Any) -> Iterator[str]:
    yield from (f"### {name}", "")
    yield from _called(name, method)


def _called(name: str, method: Any) -> Iterator[str]:
    yield from ("<!-- not run: a signature, not a program -->", "```python")
    for form in get_overloads(method) or [method]:
        yield from _signature(name, form)
    yield from ("```", "", *_docstring(method), "")


def _signature(name: str, function: Any) -> Iterator[str]:
    """Yield a signature as it is in the source, with the values of constants."""
    source = ast.parse(textwrap.dedent(inspect.getsource(function)))
    (node,) = (each for each in source.body if isinstance(each, ast.FunctionDef))
    for positional in (node.args.posonlyargs, node.args.args):
        if positional and positional[0].arg in {"self", "cls"}:
            del positional[0]
    _Constants(function.__globals__).visit(node.args)
    arguments = [
        re.sub(r"^(\w+: [^=]+)=", r"\1 = ", argument)
        for argument in _split(ast.unparse(node.args).removeprefix("/, "))
    ]
    is_constructor = function.__name__ == "__init__"
    returns = "" if is_constructor or node.returns is None else f" -> {ast.unparse(node.returns)}"
    line = f"{name}({', '.join(arguments)}){returns}"
    if len(line) <= WIDTH - 12:
        yield line
        return
    yield f"{name}("
    for argument in arguments:
        yield f"    {argument},"
    yield f"){returns}"


class _Constants(ast.NodeTransformer):
    """Replaces the name of a constant with its value."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self._names.get(node.id)
        return ast.Constant(value) if isinstance(value, str | int | float) else node


def _split(arguments: str) -> Iterator[str]:
    """Split arguments at the commas outside of brackets."""
    depth, start = 0, 0
    for position, character in enumerate(arguments):
        depth += (character in "[(") - (character in "])")
        if character == "," and depth == 0:
            yield arguments[start:position].strip()
            start = position + 1
    yield arguments[start:].strip()


def _docstring(kind: Any) -> list[str]:
    return list(_docstring_lines(inspect.getdoc(kind) or ""))


def _docstring_lines(docstring: str) -> Iterator[str]:
    """Convert a docstring to Markdown: sections become lists, examples are left out."""
    for paragraph in re.sub(
        r"```.*?```\n*", "", inspect.cleandoc(docstring), flags=re.DOTALL
    ).split("\n\n"):
        head, _, rest = paragraph.partition("\n")
        if head in {"Args:", "Raises:", "Attributes:"}:
            yield from (f"{_TITLES[head]}:", "", *_items(rest), "")
        elif head == "Returns:":
            yield from (f"Returns: {' '.join(rest.split())}", "")
        else:
            yield from (_prose(paragraph), "")


_TITLES = {"Args:": "Arguments", "Raises:": "Raises", "Attributes:": "Fields"}


def _items(text: str) -> Iterator[str]:
    for item in re.split(r"\n(?=\S)", textwrap.dedent(text)):
        names, _, meaning = " ".join(item.split()).partition(": ")
        coded = ", ".join(f"`{name.strip()}`" for name in names.split(","))
        yield f"- {coded}: {meaning}" if meaning else f"- {names}"


# Errors


def error_codes() -> Iterator[str]:
    """Yield every error: the status that a server returns, and the class that the SDK raises."""
    kinds = {
        kind.code: kind
        for kind in (*vars(errors).values(), MethodNotAllowed)
        if isinstance(kind, type) and issubclass(kind, UserkeepError)
    }
    rows = []
    for code, status in sorted(STATUS_OF_CODE.items(), key=lambda item: item[1]):
        kind = kinds[code]
        raised = f"`{kind.__name__}`" if kind.__name__ in userkeep.__all__ else "`ServerError`"
        rows.append((str(status), f"`{code}`", raised, kind.default_detail()))
    yield from table(("status", "code", "the SDK raises", "message"), *rows)


def sdk_errors() -> Iterator[str]:
    """Yield the errors that only the SDK raises."""
    kinds = [getattr(userkeep, name) for name in userkeep.__all__]
    rows = [
        (f"`{kind.__name__}`", _code_of(kind), _prose(str(kind.__doc__).partition("\n")[0]))
        for kind in kinds
        if isinstance(kind, type)
        and issubclass(kind, Exception)
        and not issubclass(kind, Warning)
        and getattr(kind, "code", "") not in STATUS_OF_CODE
    ]
    yield from table(("class", "code", "message"), *rows)


def _code_of(kind: Any) -> str:
    return f"`{kind.code}`" if "code" in vars(kind) else ""


PARTS: dict[str, Part] = {
    "overview": overview,
    "commands": commands,
    "settings": settings,
    "client-settings": client_settings,
    "operations": operations,
    "types": types,
    "client": client,
    "sdk-types": sdk_types,
    "error-codes": error_codes,
    "sdk-errors": sdk_errors,
}


def generated() -> dict[Path, str]:
    """Return the text of each page.

    Raises:
        LookupError: a part has no place, or a place has no part.
    """
    placed: set[str] = set()

    def fill(match: re.Match[str]) -> str:
        name = match[2]
        if name not in PARTS:
            raise LookupError(f"there is no part {name!r}")
        placed.add(name)
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(PARTS[name]()).strip())
        return f"{match[1]}\n{text}\n{match[3]}"

    texts = {page: _PLACE.sub(fill, page.read_text("utf-8")) for page in sorted(PAGES.glob("*.md"))}
    if missing := PARTS.keys() - placed:
        raise LookupError(f"no page has a place for {', '.join(sorted(missing))}")
    return texts


def main() -> int:
    """Write the pages, or compare them."""
    texts = generated()
    differing = [page for page, text in texts.items() if page.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        if differing:
            names = ", ".join(page.name for page in differing)
            print(f"out of date: docs/reference: {names}; run `make generate`", file=sys.stderr)
        return bool(differing)
    for page in differing:
        page.write_text(texts[page], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
