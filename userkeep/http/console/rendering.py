"""Templates of the pages, and how values look in them."""

import json
import secrets
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from userkeep.domain.values.counts import pluralize
from userkeep.version import __version__

_FOLDED_AT = 1_200
"""Longer texts are folded, in characters."""

_LONGEST_SHOWN = 20_000
"""Of a longer text only the beginning is in a list; its own page has all of it."""

_MOST_CALLS = 10
"""Of so many calls of tools in a message the names are shown."""

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")

STATIC = {
    "console.css": ("console/static/console.css", b"text/css; charset=utf-8"),
    "console.js": ("console/static/console.js", b"text/javascript; charset=utf-8"),
    "htmx.js": ("vendored/htmx.org/htmx.min.js", b"text/javascript; charset=utf-8"),
}
"""The files that pages load: where each is in the package, and its type."""


def make_environment() -> Environment:
    """Return the environment of all templates; every value is escaped."""
    environment = Environment(
        loader=PackageLoader("userkeep.http.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        moment=moment,
        size=size,
        segment=segment,
        pretty=pretty,
        excerpt=excerpt,
        tools=tools,
        fold=fold,
        marked=marked,
        number=number,
    )
    environment.globals.update(
        pluralize=pluralize, label=label, new_form_id=secrets.token_urlsafe, version=__version__
    )
    return environment


def static_file(name: str) -> tuple[bytes, bytes] | None:
    """Return the content and the type of a file that pages load; None if there is none."""
    found = STATIC.get(name)
    if found is None:
        return None
    path, kind = found
    return resources.files("userkeep.http").joinpath(path).read_bytes(), kind


def moment(text: str | None, missing: str = "never") -> Markup:
    """Return a time of the API, which a script shows in the reader's zone; else it is in UTC."""
    if text is None:
        return Markup('<span class="quiet">{}</span>').format(missing)
    at = datetime.fromisoformat(text).astimezone(UTC)
    shown = f"{at:%Y-%m-%d %H:%M} UTC"
    exact = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(text, exact, shown)


def size(count: float) -> str:
    """Return a number of bytes with a unit."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:,.0f} {_UNITS[unit]}" if unit == 0 else f"{value:,.1f} {_UNITS[unit]}"


def number(count: int) -> str:
    """Return a whole number with separators."""
    return f"{count:,}"


def label(*texts: str | None) -> str:
    """Return the first text that can be seen; if none can, the last one in quotes, with escapes.

    An id or a title can have blanks and marks of direction alone, and a link needs words.
    """
    seen = (text for text in texts if text and any(map(_is_seen, text)))
    return next(seen, None) or json.dumps(texts[-1] or "")


def _is_seen(character: str) -> bool:
    return unicodedata.category(character)[0] not in "CZ"


def segment(text: str) -> str:
    """Return an id as one segment of a path."""
    return quote(text, safe="")


def pretty(value: Any) -> str:
    """Return JSON as lines."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def excerpt(value: Any) -> str:
    """Return the first lines of JSON, which is not read any further: it can have megabytes."""
    parts, size = [], 0
    for part in json.JSONEncoder(ensure_ascii=False, indent=2).iterencode(value):
        parts.append(part)
        size += len(part)
        if size > _LONGEST_SHOWN:
            break
    return "".join(parts)[:_LONGEST_SHOWN]


def tools(data: Any) -> list[str]:
    """Return the names of the tools that a message calls, as OpenAI and LangChain write them."""
    calls = data.get("tool_calls") if isinstance(data, dict) else None
    found = map(_name_of_call, calls[:_MOST_CALLS] if isinstance(calls, list) else [])
    return [name for name in found if isinstance(name, str)]


def _name_of_call(call: Any) -> Any:
    if not isinstance(call, dict):
        return None
    function = call.get("function")
    return function.get("name") if isinstance(function, dict) else call.get("name")


def fold(text: str) -> dict[str, Any]:
    """Return how a long text is shown: its beginning, and whether there is more of it here.

    Returns:
        `start`: what is always shown. `rest`: what is folded. `is_cut`: whether something is left
        out, because the text is too long for a list.
    """
    if len(text) <= _FOLDED_AT:
        return {"start": text, "rest": "", "is_cut": False}
    end = text.rfind(" ", _FOLDED_AT // 2, _FOLDED_AT)
    end = _FOLDED_AT if end < 0 else end
    return {
        "start": text[:end],
        "rest": text[end:_LONGEST_SHOWN],
        "is_cut": len(text) > _LONGEST_SHOWN,
    }


def marked(snippet: Mapping[str, Any]) -> Markup:
    """Return a snippet of a search with its marks."""
    text, parts, end = snippet["text"], [], 0
    for mark in snippet["marks"]:
        parts += [escape(text[end : mark["start"]]), Markup("<mark>")]
        parts += [escape(text[mark["start"] : mark["end"]]), Markup("</mark>")]
        end = mark["end"]
    return Markup("").join([*parts, escape(text[end:])])
