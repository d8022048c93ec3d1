"""The texts of SQL/JSON paths, read into their parts.

    path:       $ or @, then steps:  .key  ."key"  [*]  [0]  [last]  ? (condition)
    condition:  path == 5   "x" < path   path starts with "x"   exists (path)
                a && b   a || b   !(a)   (a) is unknown

What PostgreSQL reads beyond that is refused by its name, and what it does not read either by its
position. Every single quote counts as a double one, as it did for Zep.
"""

import re
import sys
from collections.abc import Callable
from math import isinf
from typing import Literal, NamedTuple

from userkeep.domain.errors import BadRequest

Scalar = str | int | float | bool | None
Comparison = Literal["==", "!=", "<", "<=", ">", ">="]


class Key(NamedTuple):
    """`.name`: what an object has under a key."""

    name: str


class Every(NamedTuple):
    """`[*]`: each element of an array."""


class Index(NamedTuple):
    """`[5]`: one element of an array, from 0; the last is -1."""

    place: int


class Filter(NamedTuple):
    """`? (…)`: only what meets a condition."""

    condition: "Condition"


Step = Key | Every | Index | Filter


class Path(NamedTuple):
    """A path from the root (`$`), or from what a filter looks at (`@`)."""

    is_from_root: bool
    steps: tuple[Step, ...]


class Given(NamedTuple):
    """A value that the text itself gives."""

    value: Scalar


class Compare(NamedTuple):
    """A comparison of what a path leads to with a value."""

    path: Path
    comparison: Comparison
    value: Scalar


class StartsWith(NamedTuple):
    """`path starts with "…"`."""

    path: Path
    prefix: str


class Exists(NamedTuple):
    """`exists (path)`."""

    path: Path


class All(NamedTuple):
    """`a && b`."""

    conditions: "tuple[Condition, ...]"


class Either(NamedTuple):
    """`a || b`."""

    conditions: "tuple[Condition, ...]"


class Negation(NamedTuple):
    """`!(a)`."""

    condition: "Condition"


class IsUnknown(NamedTuple):
    """`(a) is unknown`."""

    condition: "Condition"


Condition = Compare | StartsWith | Exists | All | Either | Negation | IsUnknown
Operand = Path | Given
Expression = Operand | Condition

MAX_CHARACTERS = 4_096
MAX_DEPTH = 16


def parse(text: str, field: str) -> Expression:
    """A path as the tree of its parts.

    Args:
        text: the path.
        field: where it stands, for errors.

    Raises:
        BadRequest: naming the field, and the position or the construct.
    """
    if len(text) > MAX_CHARACTERS:
        raise BadRequest(f"{field} is longer than {MAX_CHARACTERS} characters", field)
    return _Parser(text.replace("'", '"'), field).whole()


class _Token(NamedTuple):
    kind: str  # "text", "number", "name", "sign" or "end"
    text: str
    at: int

    def is_word(self, word: str) -> bool:
        """Whether it is a word of the language, which may come in any case."""
        return self.kind == "name" and self.text.lower() == word


_TOKEN = re.compile(
    r"""(?P<blank>[ \t\n\r\f]+|/\*.*?\*/)
    |(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<sign>==|!=|<>|<=|>=|&&|\|\||\*\*|[<>!*()\[\].?$@,+/%:{}-])
    |(?P<name>(?:[^?%$.\[\]{}()|&!=<>@\#,*:+/\\" \t\n\r\f-]|\\.)+)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_WELL_MADE_NUMBER = re.compile(r"(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_ESCAPE = re.compile(
    r"\\(?:u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL
)
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_COMPARISONS: dict[str, Comparison] = {
    "==": "==", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="
}  # fmt: skip
_TURNED: dict[Comparison, Comparison] = {
    "==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="
}  # fmt: skip
_CONSTANTS = {"true": True, "false": False, "null": None}


class _Parser:
    def __init__(self, text: str, field: str) -> None:
        self._field = field
        self._depth = 0
        self._filters = 0
        self._place = 0
        self._tokens = self._cut(text)

    def whole(self) -> Expression:
        """The whole text."""
        if self._next.is_word("strict"):
            raise self._cannot("strict mode")
        if self._next.is_word("lax"):
            self._take()
        expression = self._either()
        if self._next.kind != "end":
            raise self._wrong(f"{self._next.text!r} is not expected")
        return expression

    # Conditions, from the weakest sign to the strongest.

    def _either(self) -> Expression:
        return self._joined("||", self._all, Either)

    def _all(self) -> Expression:
        return self._joined("&&", self._one, All)

    def _joined(
        self, sign: str, part: Callable[[], Expression], kind: type[All | Either]
    ) -> Expression:
        at = self._next
        parts = [part()]
        while self._next_is(sign):
            self._take()
            parts.append(part())
        if len(parts) == 1:
            return parts[0]
        return kind(tuple(self._condition(each, at) for each in parts))

    def _one(self) -> Expression:
        if self._next_is("!"):
            self._take()
            return Negation(self._delimited())
        if self._is_exists():
            return self._delimited()
        at = self._next
        left = self._enclosed() if self._next_is("(") else self._operand()
        return self._compared(left, at) if isinstance(left, Path | Given) else left

    def _delimited(self) -> Condition:
        """A condition that stands for itself, as after `!`."""
        if not self._is_exists():
            at = self._next
            return self._condition(self._in_parentheses(), at)
        self._take()
        at = self._next
        path = self._in_parentheses()
        if not isinstance(path, Path):
            raise self._wrong("exists needs a path", at)
        return Exists(path)

    def _in_parentheses(self) -> Expression:
        at = self._next
        self._expect("(")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._cannot(f"more than {MAX_DEPTH} parentheses within each other", at)
        inner = self._either()
        self._depth -= 1
        self._expect(")")
        return inner

    def _enclosed(self) -> Expression:
        inner = self._in_parentheses()
        if isinstance(inner, Path):
            return Path(inner.is_from_root, (*inner.steps, *self._steps()))
        if self._next.text in {".", "[", "?"}:
            raise self._cannot(f"{self._next.text} after parentheses")
        if isinstance(inner, Given) or not self._next.is_word("is"):
            return inner
        self._take()
        if not self._next.is_word("unknown"):
            raise self._wrong("unknown is expected")
        self._take()
        return IsUnknown(inner)

    def _compared(self, left: Operand, at: _Token) -> Expression:
        token = self._next
        if token.is_word("like_regex"):
            raise self._cannot("like_regex")
        if token.kind == "sign" and token.text in "+-*/%":
            raise self._cannot(f"arithmetic ({token.text}; a key with a sign in it needs quotes)")
        if token.is_word("starts"):
            return self._starts_with(left, at)
        comparison = _COMPARISONS.get(token.text) if token.kind == "sign" else None
        if comparison is None:
            return left
        self._take()
        at_right = self._next
        right = self._enclosed() if self._next_is("(") else self._operand()
        if isinstance(left, Path) and isinstance(right, Given):
            return Compare(left, comparison, right.value)
        if isinstance(left, Given) and isinstance(right, Path):
            return Compare(right, _TURNED[comparison], left.value)
        if not isinstance(right, Path | Given):
            raise self._wrong("a path or a value is needed", at_right)
        kind = "two paths" if isinstance(left, Path) else "two values"
        raise self._cannot(f"a comparison of {kind}", token)

    def _starts_with(self, left: Operand, at: _Token) -> Condition:
        self._take()
        if not self._next.is_word("with"):
            raise self._wrong("with is expected")
        self._take()
        if self._next_is("$"):
            raise self._cannot("variables")
        if self._next.kind != "text":
            raise self._wrong("a text in quotes is expected")
        prefix = self._unescaped(self._take())
        if not isinstance(left, Path):
            raise self._cannot("starts with about a value", at)
        return StartsWith(left, prefix)

    def _condition(self, expression: Expression, at: _Token) -> Condition:
        if isinstance(expression, Path | Given):
            raise self._wrong("a condition is needed", at)
        return expression

    # Paths and values.

    def _operand(self) -> Operand:
        token = self._take()
        match token.kind:
            case "text":
                return self._given(self._unescaped(token))
            case "number":
                return self._given(self._number(token))
            case "name" if token.text in _CONSTANTS:
                return self._given(_CONSTANTS[token.text])
            case "sign" if token.text in "+-":
                return self._given(self._signed(token))
            case "sign" if token.text in "$@":
                return self._path(token)
        found = repr(token.text) if token.text else "the end"
        raise self._wrong(f"a path or a value is needed, and not {found}", token)

    def _signed(self, sign: _Token) -> int | float:
        if self._next.kind != "number":
            raise self._cannot(f"arithmetic ({sign.text})", sign)
        number = self._number(self._take())
        return -number if sign.text == "-" else number

    def _path(self, start: _Token) -> Path:
        if start.text == "@" and not self._filters:
            raise self._wrong("@ stands outside of a filter", start)
        is_named = self._next.kind in {"name", "text"} and self._next.at == start.at + 1
        if start.text == "$" and is_named:
            raise self._cannot("variables", start)
        return Path(start.text == "$", self._steps())

    def _given(self, value: Scalar) -> Given:
        if self._next.kind == "sign" and self._next.text in {".", "[", "?"}:
            raise self._cannot(f"{self._next.text} after a value")
        return Given(value)

    def _steps(self) -> tuple[Step, ...]:
        steps: list[Step] = []
        while self._next.kind == "sign" and self._next.text in {".", "[", "?"}:
            sign = self._take().text
            if sign == ".":
                steps.append(self._key())
            elif sign == "[":
                steps.append(self._index())
            else:
                steps.append(self._filter())
        return tuple(steps)

    def _key(self) -> Key:
        token = self._take()
        if token.text in {"*", "**"}:
            raise self._cannot(f".{token.text}", token)
        if token.kind not in {"name", "text"}:
            raise self._wrong("a key is expected", token)
        if token.kind == "name" and self._next_is("("):
            raise self._cannot(f"the method .{token.text}()", token)
        name = self._unescaped(token)
        if '"' in name or "\\" in name:
            raise self._cannot("a key with a quote or a backslash in it", token)
        return Key(name)

    def _filter(self) -> Filter:
        at = self._next
        self._filters += 1
        condition = self._condition(self._in_parentheses(), at)
        self._filters -= 1
        return Filter(condition)

    def _index(self) -> Every | Index:
        token = self._take()
        step: Every | Index
        if token.text == "*":
            step = Every()
        elif token.is_word("last"):
            step = Index(-1)
        elif token.kind == "number" and token.text.isdigit() and len(token.text) < 10:
            step = Index(int(self._number(token)))
        else:
            raise self._cannot("an index that is no whole number, * or last", token)
        if self._next_is(",") or self._next.is_word("to"):
            raise self._cannot("several indexes in one pair of brackets")
        if self._next.kind == "sign" and self._next.text in "+-*/%":
            raise self._cannot(f"arithmetic ({self._next.text})")
        self._expect("]")
        return step

    def _number(self, token: _Token) -> int | float:
        if not _WELL_MADE_NUMBER.fullmatch(token.text):
            raise self._wrong(f"{token.text} is not a number", token)
        if self._next.kind in {"name", "number"} and self._next.at == token.at + len(token.text):
            raise self._wrong(f"{self._next.text!r} cannot follow a number")
        number = float(token.text)
        if isinf(number):
            raise self._cannot("a number of more than 308 digits", token)
        is_whole = token.text.isdigit() and number < 2**63
        return int(token.text) if is_whole else number

    def _unescaped(self, token: _Token) -> str:
        """What a text or a name says, with its escapes resolved."""
        inner = token.text[1:-1] if token.kind == "text" else token.text
        for escape in _ESCAPE.finditer(inner):
            if escape[0] in {"\\u", "\\x"} or int(escape[1] or "0", 16) > sys.maxunicode:
                raise self._wrong(f"the escape {escape[0]} is not finished or too great", token)
        # Each half of a surrogate pair may come as an escape of its own.
        said = _ESCAPE.sub(_character, inner).encode("utf-16", "surrogatepass")
        try:
            text = said.decode("utf-16")
        except UnicodeDecodeError as error:
            raise self._wrong("half a surrogate pair is not a character", token) from error
        if "\0" in text:
            raise self._wrong("NUL cannot be looked for", token)
        return text

    # Tokens.

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _next_is(self, sign: str) -> bool:
        return self._next.kind == "sign" and self._next.text == sign

    def _is_exists(self) -> bool:
        return self._next.is_word("exists")

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._place += 1
        return token

    def _expect(self, sign: str) -> None:
        if not self._next_is(sign):
            found = repr(self._next.text) if self._next.text else "the end"
            raise self._wrong(f"{sign} is expected, and not {found}")
        self._take()

    def _cut(self, text: str) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or "\0" in match[0]:
                raise self._wrong(f"{text[at]!r} is not expected", _Token("sign", text[at], at))
            kind = str(match.lastgroup)
            if kind != "blank":
                tokens.append(_Token(kind, match[0], at))
            at = match.end()
        return [*tokens, _Token("end", "", len(text))]

    def _wrong(self, what: str, at: _Token | None = None) -> BadRequest:
        """What PostgreSQL does not read either."""
        place = (at or self._next).at + 1
        return BadRequest(
            f"{self._field} is not a JSON path: at character {place}, {what}", self._field
        )

    def _cannot(self, construct: str, at: _Token | None = None) -> BadRequest:
        """What it does read, and the filters here cannot say."""
        place = (at or self._next).at + 1
        return BadRequest(
            f"{self._field} has {construct} at character {place}, which is not supported",
            self._field,
        )


def _character(escape: re.Match[str]) -> str:
    number = escape[1] or escape[2] or escape[3]
    return _CONTROLS.get(escape[4], escape[4]) if number is None else chr(int(number, 16))
