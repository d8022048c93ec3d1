"""The server's wiring: an open instance, and the doors to it."""

import gc
import sys

from userkeep.config import Settings
from userkeep.http.app import Application
from userkeep.http.guard import Guard, is_loopback
from userkeep.http.timers import SERVER_TIMERS, Timers
from userkeep.opening import Instance

_SWITCH_INTERVAL_S = 0.0005
_GARBAGE_THRESHOLD = 10_000


def make_application(
    instance: Instance, settings: Settings, timers: Timers = SERVER_TIMERS
) -> Application:
    """The ASGI application of an open instance.

    Without keys, a server on loopback looks at the Host header; one that was opened to others on
    purpose (`insecure_no_auth`) cannot.

    Args:
        timers: how long background work waits; a test passes shorter times.
    """
    guard = Guard(any_host=settings.insecure_no_auth and not is_loopback(settings.host))
    return Application(instance.engine, instance.scope, guard, timers)


def tune_interpreter() -> None:
    """Let the writer lane have the interpreter soon after its disk has answered.

    A thread that waits for the interpreter gets it after this interval at the latest; with the
    default of 5 ms, one statement of the writer can wait that long for a busy event loop.

    It changes the whole process, so only the command that serves calls it, once everything is made:
    the garbage collector leaves alone what was made at the start and lives to the end, and
    looks less often for cycles, of which a request makes hardly any.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)
