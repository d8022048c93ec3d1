"""Results of a search, as the SDK returns them."""

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET, UnsetType

from userkeep.api import search
from userkeep.api.encoding import to_json_text, to_plain
from userkeep.api.search import Degraded, ExplainedQuery, Hit


class Hits(list[Hit]):
    """The results of a search, best first.

    Attributes:
        query: what was searched for, with `explain`; else None.
        degraded: why words alone were compared, although meaning was to be compared too; None if
            that is not so.
    """

    def __init__(
        self,
        hits: Iterable[Hit] = (),
        query: ExplainedQuery | UnsetType | None = UNSET,
        degraded: Degraded | None = None,
    ) -> None:
        super().__init__(hits)
        self.degraded = degraded
        self.query = None if query is UNSET else query
        self._is_explained = query is not UNSET

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        kind = handler.generate_schema(search.Hits)
        return {
            "type": "function-wrap",
            "function": {"type": "no-info", "function": cls._validate},
            "schema": kind,
            "serialization": {
                "type": "function-plain",
                "function": cls.to_wire,
                "return_schema": kind,
            },
        }

    @classmethod
    def _validate(cls, value: Any, check: Any) -> "Hits":
        if isinstance(value, cls):
            return value
        found = check(value)
        return cls.of(found)

    @classmethod
    def of(cls, found: search.Hits) -> "Hits":
        """Return what the HTTP API has sent."""
        degraded = None if found.degraded is UNSET else found.degraded
        return cls(found.items, found.query, degraded)

    def to_wire(self) -> search.Hits:
        """Return the results as the HTTP API sends them."""
        return search.Hits(
            items=list(self),
            degraded=UNSET if self.degraded is None else self.degraded,
            query=self.query if self._is_explained else UNSET,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the results as the HTTP API sends them, as a dict."""
        fields: dict[str, Any] = to_plain(self.to_wire())
        return fields

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return to_json_text(self.to_wire())
