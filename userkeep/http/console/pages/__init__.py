"""The pages, by their paths below `/console`."""

from userkeep.http.console.pages import (
    administration,
    collections,
    deletions,
    messages,
    overview,
    projects,
    search,
    sessions,
    users,
)
from userkeep.http.console.visit import PageFunction

PAGES: dict[str, PageFunction] = {
    **overview.PAGES,
    **users.PAGES,
    **sessions.PAGES,
    **messages.PAGES,
    **search.PAGES,
    **collections.PAGES,
    **deletions.PAGES,
    **projects.PAGES,
    **administration.PAGES,
    # The console itself responds to these two; a route makes their names known.
    "/sign-in": overview.overview,
    "/sign-out": overview.overview,
}
