"""Parse SQL/JSON paths.

    path:       $ or @, then steps:  .key  ."key"  [*]  [0]  [last]  ? (condition)
    condition:  path == 5   "x" < path   path starts with "x"   exists (path)
                a && b   a || b   !(a)   (a) is unknown

Other syntax that PostgreSQL supports is rejected by its name, invalid syntax by its position.
Single quotes are read as double quotes, as in Zep.
"""

import re
import sys
from collections.abc import Callable
from math import isinf
from typing import Literal, NamedTuple

from userkeep.domain.errors import BadRequest

Scalar = str | int | float | bool | None
Operator = Literal["==", "!=", "<", "<=", ">", ">="]


class Key(NamedTuple):
    """`.name`: the value of a key of an object."""

    name: str


class Wildcard(NamedTuple):
    """`[*]`: every element of an array."""


class Index(NamedTuple):
    """`[5]`: one element of an array, from 0; -1 is the last."""

    position: int


class Filter(NamedTuple):
    """`? (…)`: the items that match a condition."""

    condition: "Condition"


Step = Key | Wildcard | Index | Filter


class Path(NamedTuple):
    """A path from the root (`$`), or from the current item of a filter (`@`)."""

    is_from_root: bool
    steps: tuple[Step, ...]


class Constant(NamedTuple):
    """A text, a number, `true`, `false` or `null` in a path."""

    value: Scalar


class Comparison(NamedTuple):
    """`path == value`: compares the items of a path with a value."""

    path: Path
    operator: Operator
    value: Scalar


class StartsWith(NamedTuple):
    """`path starts with "…"`."""

    path: Path
    prefix: str


class Exists(NamedTuple):
    """`exists (path)`."""

    path: Path


class AllOf(NamedTuple):
    """`a && b`."""

    conditions: "tuple[Condition, ...]"


class AnyOf(NamedTuple):
    """`a || b`."""

    conditions: "tuple[Condition, ...]"


class Negation(NamedTuple):
    """`!(a)`."""

    condition: "Condition"


class IsUnknown(NamedTuple):
    """`(a) is unknown`."""

    condition: "Condition"


Condition = Comparison | StartsWith | Exists | AllOf | AnyOf | Negation | IsUnknown
Operand = Path | Constant
Expression = Operand | Condition

MAX_CHARACTERS = 4_096
MAX_DEPTH = 16


def parse(text: str, field: str) -> Expression:
    """Parse a path.

    Args:
        text: the path.
        field: the name of its field, for errors.

    Raises:
        BadRequest: with the field, and the position or the unsupported syntax.
    """
    if len(text) > MAX_CHARACTERS:
        raise BadRequest(f"{field} is longer than {MAX_CHARACTERS} characters", field)
    return _Parser(text.replace("'", '"'), field).parse()


class _Token(NamedTuple):
    kind: str  # "text", "number", "name", "sign" or "end"
    text: str
    at: int

    def is_word(self, word: str) -> bool:
        """Return whether the token is a keyword, in any case."""
        return self.kind == "name" and self.text.lower() == word


_TOKEN = re.compile(
    r"""(?P<blank>[ \t\n\r\f]+|/\*.*?\*/)
    |(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<sign>==|!=|<>|<=|>=|&&|\|\||\*\*|[<>!*()\[\].?$@,+/%:{}-])
    |(?P<name>(?:[^?%$.\[\]{}()|&!=<>@\#,*:+/\\" \t\n\r\f-]|\\.)+)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_VALID_NUMBER = re.compile(r"(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_ESCAPE = re.compile(
    r"\\(?:u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL
)
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_OPERATORS: dict[str, Operator] = {
    "==": "==", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="
}  # fmt: skip
_SWAPPED: dict[Operator, Operator] = {
    "==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="
}  # fmt: skip
_CONSTANTS = {"true": True, "false": False, "null": None}


class _Parser:
    def __init__(self, text: str, field: str) -> None:
        self._field = field
        self._depth = 0
        self._filters = 0
        self._position = 0
        self._tokens = self._tokenize(text)

    def parse(self) -> Expression:
        """Parse the whole text."""
        if self._next.is_word("strict"):
            raise self._unsupported("strict mode")
        if self._next.is_word("lax"):
            self._take()
        expression = self._any_of()
        if self._next.kind != "end":
            raise self._error(f"{self._next.text!r} is not expected")
        return expression

    # Conditions, from the lowest precedence to the highest.

    def _any_of(self) -> Expression:
        return self._joined("||", self._all_of, AnyOf)

    def _all_of(self) -> Expression:
        return self._joined("&&", self._unary, AllOf)

    def _joined(
        self, sign: str, parse_part: Callable[[], Expression], kind: type[AllOf | AnyOf]
    ) -> Expression:
        at = self._next
        parts = [parse_part()]
        while self._next_is(sign):
            self._take()
            parts.append(parse_part())
        if len(parts) == 1:
            return parts[0]
        return kind(tuple(self._condition(each, at) for each in parts))

    def _unary(self) -> Expression:
        if self._next_is("!"):
            self._take()
            return Negation(self._delimited())
        if self._is_exists():
            return self._delimited()
        at = self._next
        left = self._parenthesized() if self._next_is("(") else self._operand()
        return self._predicate(left, at) if isinstance(left, Path | Constant) else left

    def _delimited(self) -> Condition:
        """Parse a condition in parentheses or `exists (…)`, as after `!`."""
        if not self._is_exists():
            at = self._next
            return self._condition(self._in_parentheses(), at)
        self._take()
        at = self._next
        path = self._in_parentheses()
        if not isinstance(path, Path):
            raise self._error("exists needs a path", at)
        return Exists(path)

    def _in_parentheses(self) -> Expression:
        at = self._next
        self._expect("(")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._unsupported(f"more than {MAX_DEPTH} nested parentheses", at)
        inner = self._any_of()
        self._depth -= 1
        self._expect(")")
        return inner

    def _parenthesized(self) -> Expression:
        inner = self._in_parentheses()
        if isinstance(inner, Path):
            return Path(inner.is_from_root, (*inner.steps, *self._steps()))
        if self._next.text in {".", "[", "?"}:
            raise self._unsupported(f"{self._next.text} after parentheses")
        if isinstance(inner, Constant) or not self._next.is_word("is"):
            return inner
        self._take()
        if not self._next.is_word("unknown"):
            raise self._error("unknown is expected")
        self._take()
        return IsUnknown(inner)

    def _predicate(self, left: Operand, at: _Token) -> Expression:
        token = self._next
        if token.is_word("like_regex"):
            raise self._unsupported("like_regex")
        if token.kind == "sign" and token.text in "+-*/%":
            raise self._unsupported(f"arithmetic ({token.text}; quote keys that contain it)")
        if token.is_word("starts"):
            return self._starts_with(left, at)
        operator = _OPERATORS.get(token.text) if token.kind == "sign" else None
        if operator is None:
            return left
        self._take()
        at_right = self._next
        right = self._parenthesized() if self._next_is("(") else self._operand()
        if isinstance(left, Path) and isinstance(right, Constant):
            return Comparison(left, operator, right.value)
        if isinstance(left, Constant) and isinstance(right, Path):
            return Comparison(right, _SWAPPED[operator], left.value)
        if not isinstance(right, Path | Constant):
            raise self._error("a path or a value is expected", at_right)
        kind = "two paths" if isinstance(left, Path) else "two values"
        raise self._unsupported(f"a comparison of {kind}", token)

    def _starts_with(self, left: Operand, at: _Token) -> Condition:
        self._take()
        if not self._next.is_word("with"):
            raise self._error("with is expected")
        self._take()
        if self._next_is("$"):
            raise self._unsupported("variables")
        if self._next.kind != "text":
            raise self._error("a text in quotes is expected")
        prefix = self._unescaped(self._take())
        if not isinstance(left, Path):
            raise self._unsupported("starts with after a value", at)
        return StartsWith(left, prefix)

    def _condition(self, expression: Expression, at: _Token) -> Condition:
        if isinstance(expression, Path | Constant):
            raise self._error("a condition is expected", at)
        return expression

    # Paths and values.

    def _operand(self) -> Operand:
        token = self._take()
        match token.kind:
            case "text":
                return self._constant(self._unescaped(token))
            case "number":
                return self._constant(self._number(token))
            case "name" if token.text in _CONSTANTS:
                return self._constant(_CONSTANTS[token.text])
            case "sign" if token.text in "+-":
                return self._constant(self._signed(token))
            case "sign" if token.text in "$@":
                return self._path(token)
        found = repr(token.text) if token.text else "the end"
        raise self._error(f"a path or a value is expected, got {found}", token)

    def _signed(self, sign: _Token) -> int | float:
        if self._next.kind != "number":
            raise self._unsupported(f"arithmetic ({sign.text})", sign)
        number = self._number(self._take())
        return -number if sign.text == "-" else number

    def _path(self, start: _Token) -> Path:
        if start.text == "@" and not self._filters:
            raise self._error("@ is used outside of a filter", start)
        is_named = self._next.kind in {"name", "text"} and self._next.at == start.at + 1
        if start.text == "$" and is_named:
            raise self._unsupported("variables", start)
        return Path(start.text == "$", self._steps())

    def _constant(self, value: Scalar) -> Constant:
        if self._next.kind == "sign" and self._next.text in {".", "[", "?"}:
            raise self._unsupported(f"{self._next.text} after a value")
        return Constant(value)

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
            raise self._unsupported(f".{token.text}", token)
        if token.kind not in {"name", "text"}:
            raise self._error("a key is expected", token)
        if token.kind == "name" and self._next_is("("):
            raise self._unsupported(f"the method .{token.text}()", token)
        return Key(self._unescaped(token))

    def _filter(self) -> Filter:
        at = self._next
        self._filters += 1
        condition = self._condition(self._in_parentheses(), at)
        self._filters -= 1
        return Filter(condition)

    def _index(self) -> Wildcard | Index:
        token = self._take()
        step: Wildcard | Index
        if token.text == "*":
            step = Wildcard()
        elif token.is_word("last"):
            step = Index(-1)
        elif token.kind == "number" and token.text.isdigit() and len(token.text) < 10:
            step = Index(int(self._number(token)))
        else:
            raise self._unsupported("an index other than a whole number, * or last", token)
        if self._next_is(",") or self._next.is_word("to"):
            raise self._unsupported("more than one index in brackets")
        if self._next.kind == "sign" and self._next.text in "+-*/%":
            raise self._unsupported(f"arithmetic ({self._next.text})")
        self._expect("]")
        return step

    def _number(self, token: _Token) -> int | float:
        if not _VALID_NUMBER.fullmatch(token.text):
            raise self._error(f"{token.text} is not a number", token)
        if self._next.kind in {"name", "number"} and self._next.at == token.at + len(token.text):
            raise self._error(f"{self._next.text!r} cannot follow a number")
        number = float(token.text)
        if isinf(number):
            raise self._unsupported("a number of more than 308 digits", token)
        is_whole = token.text.isdigit() and number < 2**63
        return int(token.text) if is_whole else number

    def _unescaped(self, token: _Token) -> str:
        """Return a text or a name with its escape sequences resolved."""
        inner = token.text[1:-1] if token.kind == "text" else token.text
        for escape in _ESCAPE.finditer(inner):
            if escape[0] in {"\\u", "\\x"} or int(escape[1] or "0", 16) > sys.maxunicode:
                raise self._error(f"the escape {escape[0]} is incomplete or out of range", token)
        # The two halves of a surrogate pair can be two escape sequences.
        encoded = _ESCAPE.sub(_character, inner).encode("utf-16", "surrogatepass")
        try:
            text = encoded.decode("utf-16")
        except UnicodeDecodeError as error:
            raise self._error("an unpaired surrogate is not a character", token) from error
        if "\0" in text:
            raise self._error("NUL is not allowed", token)
        return text

    # Tokens.

    @property
    def _next(self) -> _Token:
        return self._tokens[self._position]

    def _next_is(self, sign: str) -> bool:
        return self._next.kind == "sign" and self._next.text == sign

    def _is_exists(self) -> bool:
        return self._next.is_word("exists")

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._position += 1
        return token

    def _expect(self, sign: str) -> None:
        if not self._next_is(sign):
            found = repr(self._next.text) if self._next.text else "the end"
            raise self._error(f"{sign} is expected, got {found}")
        self._take()

    def _tokenize(self, text: str) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or "\0" in match[0]:
                raise self._error(f"{text[at]!r} is not expected", _Token("sign", text[at], at))
            kind = str(match.lastgroup)
            if kind != "blank":
                tokens.append(_Token(kind, match[0], at))
            at = match.end()
        return [*tokens, _Token("end", "", len(text))]

    def _error(self, what: str, at: _Token | None = None) -> BadRequest:
        """Return the error for syntax that is invalid in PostgreSQL, too."""
        character = (at or self._next).at + 1
        return BadRequest(
            f"{self._field} is not a JSON path: at character {character}, {what}", self._field
        )

    def _unsupported(self, construct: str, at: _Token | None = None) -> BadRequest:
        """Return the error for syntax that PostgreSQL supports, and filters here do not."""
        character = (at or self._next).at + 1
        return BadRequest(
            f"{self._field} has {construct} at character {character}, which is not supported",
            self._field,
        )


def _character(escape: re.Match[str]) -> str:
    number = escape[1] or escape[2] or escape[3]
    return _CONTROLS.get(escape[4], escape[4]) if number is None else chr(int(number, 16))
