"""The first page: how much there is, what happens, and whether the server works."""

from starlette.responses import Response

from userkeep.domain.transaction import scoped
from userkeep.http.console.charts import chart
from userkeep.http.console.visit import PageFunction, Visit
from userkeep.services import monitoring, overviews

_NEWEST = "8"


async def overview(visit: Visit) -> Response:
    """Show counts, activity, the newest deletions, and the state of the server."""
    deletions = await visit.perform("erasures.list", query={"limit": _NEWEST, "order": "-created"})
    sessions = await visit.perform("sessions.list", query={"limit": _NEWEST, "order": "-active"})
    days = await visit.read(scoped(visit.scope, overviews.active_sessions))
    figures = await visit.read(monitoring.stored_figures) if visit.is_of_instance else None
    return visit.page(
        "overview",
        counts=await visit.read(scoped(visit.scope, overviews.counts)),
        counted=overviews.COUNTED,
        chart=chart(days, "session"),
        sessions=sessions["items"],
        deletions=deletions["items"],
        figures=figures,
    )


PAGES: dict[str, PageFunction] = {"/": overview}
