"""`/console`: pages for people, made of what the native API does."""

from userkeep.http.console.console import Console
from userkeep.http.console.operations import Operations
from userkeep.http.console.visit import About

__all__ = ["About", "Console", "Operations"]
