"""Settings: the only module that reads the environment.

A setting is a field of `Settings`. Its environment variable is `USERKEEP_<NAME>`, its flag is
`--<name>`, and its line in docs/reference/settings.md is generated from here. A flag overrides the
environment. A list is separated by commas in the environment, and its flag can be repeated.
`ClientSettings` are for the commands that can use a server.
"""

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from userkeep.domain.key import MIN_KEY_LENGTH
from userkeep.domain.purge import Schedule, parse_window
from userkeep.domain.search.languages import LANGUAGES
from userkeep.domain.values.addresses import (
    parse_allowed_host,
    parse_origin,
    parse_peer,
    parse_root_path,
)
from userkeep.domain.values.times import MINUTE

MIB = 1024 * 1024

# Kubernetes sets these for a Service with the name userkeep, in every pod of its namespace.
_LINK_NAMES = re.compile(
    r"USERKEEP_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)"
)
_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")

_OTHER_URL = re.compile(
    r"$|[a-z][a-z0-9+.-]*://|(sqlite|postgres|postgresql|mysql|mariadb|file|https?|unix):|[a-z]:\\",
    re.IGNORECASE,
)
"""What begins a database that is not a path: a URL, a misspelled one, a drive of Windows."""

_LARGEST_PORT = 65_535

PLATFORM_PORT = "PORT"
"""The variable in which platforms name the port of an app."""

LOG_LEVELS = ("critical", "error", "warning", "info", "debug")
LOG_FORMATS = ("text", "json")
COMPRESSIONS = ("gzip", "none")
OFF = "off"


class SettingError(Exception):
    """A setting has a value that it cannot have; the text says which and why."""


BASICS, NETWORK, DATA = "Basics", "Network", "Data"
EMBEDDINGS, LIMITS, MONITORING = "Embeddings", "Limits", "Monitoring"
"""The headings of `userkeep serve --help`."""


def _setting(
    default: Any,
    help_: str,
    least: int = 0,
    most: int = 2**31,
    *,
    section: str = BASICS,
    flag: bool = True,
) -> Any:
    """Return the field of a setting.

    Args:
        section: the heading below which the help of a command has it.
        flag: whether it is documented as a flag; a secret is not, because every user of the machine
            sees flags in the list of processes.
    """
    metadata = {"help": help_, "least": least, "most": most, "section": section, "flag": flag}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set."""

    database_url: str = _setting(
        "sqlite:///userkeep-data/userkeep.db",
        "The database: the path of a SQLite file (sqlite:///path is the same), :memory: (lost when"
        " the server stops), or postgresql://user:password@host:port/database.",
    )
    host: str = _setting("127.0.0.1", "The address to listen on.")
    port: int = _setting(8000, "The port to listen on. 0 selects a free port.", most=_LARGEST_PORT)
    uds: str = _setting(
        "",
        "Listen on a Unix socket at this path, instead of an address and a port. Its user and group"
        " have access (mode 0660).",
        section=NETWORK,
    )
    allowed_host: tuple[str, ...] = _setting(
        (),
        "A host that requests may name in their Host header, besides loopback: userkeep.example.com"
        " (on every port), userkeep.example.com:8443, or *.example.com for every subdomain. Can be"
        " repeated.",
        section=NETWORK,
    )
    cors_origin: tuple[str, ...] = _setting(
        (),
        "An origin whose web pages may call the server (CORS), such as https://app.example.com. Can"
        " be repeated.",
        section=NETWORK,
    )
    root_path: str = _setting(
        "",
        "The prefix under which a reverse proxy serves all paths, such as /userkeep. The proxy may"
        " remove or keep it.",
        section=NETWORK,
    )
    forwarded_allow_ips: tuple[str, ...] = _setting(
        (),
        "A reverse proxy whose X-Forwarded-For and X-Forwarded-Proto headers are trusted: an IP"
        " address, a network, or unix for the clients of a Unix socket. Can be repeated.",
        section=NETWORK,
    )
    compression: str = _setting(
        "gzip",
        "How responses of 1 KiB and more are compressed for clients that accept it: gzip or none.",
        section=NETWORK,
    )
    console: bool = _setting(True, "Serve the console at /console.", section=NETWORK)
    insecure_no_auth: bool = _setting(
        False, "Serve without authentication on an address that other machines can reach."
    )
    api_key: str = _setting(
        "",
        "A key with the scope admin that the server always accepts, at least 16 visible ASCII"
        " characters; for containers. The command line sends it to servers. Overrides the file.",
        flag=False,
    )
    api_key_file: str = _setting("", "The file of USERKEEP_API_KEY, readable by its owner alone.")
    zep_auth_secret: str = _setting(
        "",
        "The secret with which a Zep server signed tokens (ZEP_AUTH_SECRET): the Zep API accepts"
        " them, with the scope write in the project default. At least 16 characters.",
        flag=False,
    )
    rate_limit: int = _setting(
        0,
        "The number of requests a minute that each key may send to each server, and each user with"
        " a token. Further ones get 429. 0 means no limit.",
        section=LIMITS,
    )
    secret: str = _setting(
        "",
        "The secret of the instance, at least 16 characters. Overrides the secret file.",
        flag=False,
    )
    secret_file: str = _setting(
        "",
        "The file of the secret, created on the first start. Default: beside the database, or in"
        " userkeep-data with PostgreSQL.",
    )
    memory_window: int = _setting(
        12, "The default number of messages in a memory.", least=1, section=DATA
    )
    tombstone_hours: int = _setting(
        24, "Hours during which a deleted id cannot be recreated implicitly.", least=0, section=DATA
    )
    idempotency_keys: int = _setting(
        1_000_000,
        "The number of the newest Idempotency-Keys that are remembered, for 24 hours at most.",
        least=1,
        section=LIMITS,
    )
    purge_within_minutes: int = _setting(
        60,
        "Minutes after which deleted data is purged from the files at the latest. An idle server"
        " purges earlier.",
        least=0,
        section=DATA,
    )
    purge_window: str = _setting(
        "01:00-05:00",
        "The time of day (UTC) in which a large database is purged. 00:00-24:00 means any time.",
        section=DATA,
    )
    purge_large_mib: int = _setting(
        200,
        "The size in MiB from which a database is large and waits for the purge window.",
        section=DATA,
    )
    backup_folder: str = _setting(
        "",
        "SQLite: the folder for scheduled backups, which must exist. Without it there are none.",
        section=DATA,
    )
    backup_every_hours: int = _setting(
        24, "Hours between two scheduled backups.", least=1, most=24 * 366, section=DATA
    )
    backup_keep: int = _setting(
        7,
        "The number of scheduled backups that are kept. The oldest is removed when a new one is"
        " complete.",
        least=1,
        section=DATA,
    )
    backup_passphrase_file: str = _setting(
        "", "The file of the passphrase that backups are sealed with.", section=DATA
    )
    backup_key_file: str = _setting(
        "",
        "The file of the age key that backups are sealed for, instead of a passphrase. With the"
        " public key alone, the server cannot open its backups.",
        section=DATA,
    )
    max_connections: int = _setting(
        1000,
        "The maximum number of open connections. Further ones get 503.",
        least=1,
        section=LIMITS,
    )
    keep_alive_seconds: int = _setting(
        75, "Seconds after which a connection without a request is closed.", least=1, section=LIMITS
    )
    transfer_limit_seconds: int = _setting(
        30,
        "Seconds in which a client must send the next 32 KiB of a body, or read the next 32 KiB of"
        " a response.",
        least=1,
        section=LIMITS,
    )
    body_memory_mib: int = _setting(
        128,
        "The limit in MiB of all large request bodies together. A further one gets 503. The same"
        " applies to responses that clients do not read.",
        least=5,
        section=LIMITS,
    )
    min_free_mib: int = _setting(
        64,
        "SQLite: the free space in MiB on the disk of the database below which /readyz reports the"
        " server as not ready. 0 turns the check off.",
        section=LIMITS,
    )
    queue_limit: int = _setting(
        1024,
        "The maximum number of waiting writes (PostgreSQL: operations). Further ones get 503.",
        least=1,
        section=LIMITS,
    )
    wal_limit_mib: int = _setting(
        64,
        "SQLite: the size in MiB above which the write-ahead log is truncated.",
        least=4,
        section=LIMITS,
    )
    postgres_pool_size: int = _setting(
        8, "PostgreSQL: the number of connections for operations.", least=1, section=LIMITS
    )
    postgres_row_security: bool = _setting(
        False,
        "PostgreSQL: let the database itself keep projects apart, by row-level security. Set it for"
        " every process that opens the database.",
        section=DATA,
    )
    statement_limit_seconds: int = _setting(
        30, "PostgreSQL: the time limit of a statement, in seconds.", least=1, section=LIMITS
    )
    read_limit_seconds: int = _setting(
        10,
        "The time limit of a metadata filter or a long page, in seconds.",
        least=1,
        section=LIMITS,
    )
    ledger_file: str = _setting(
        "",
        "The file of the deletion ledger, by which what was deleted is deleted again after a backup"
        " is restored. Put it on another disk than the database and its backups. Without one:"
        " <database>.ledger, or userkeep-data/userkeep-<id>.ledger with PostgreSQL. off: none.",
        section=DATA,
    )
    metrics: bool = _setting(
        True,
        "Count requests, and serve /metrics for Prometheus. It needs an admin key, if there are"
        " keys.",
        section=MONITORING,
    )
    metrics_port: int = _setting(
        0,
        "Serve /metrics on a port of its own too, without a key. 0 means no such port.",
        most=65_535,
        section=MONITORING,
    )
    metrics_host: str = _setting(
        "127.0.0.1", "The address on which the port for metrics listens.", section=MONITORING
    )
    traces: bool = _setting(
        False,
        "Send OpenTelemetry traces by OTLP over HTTP. The variables OTEL_… say where to. It needs"
        " the extra `otel` of the package.",
        section=MONITORING,
    )
    search_language: str = _setting(
        "english",
        "The language of the messages, for search: "
        f"{', '.join(LANGUAGES)}. After a change, run `userkeep doctor --deep`.",
        section=DATA,
    )
    search_match_limit: int = _setting(
        1_000_000,
        "The maximum number of matches that one search ranks: words of the query, each counted in"
        " every message that has it.",
        least=1_000,
        section=LIMITS,
    )
    embeddings_url: str = _setting(
        "",
        "The OpenAI-compatible endpoint that makes embeddings, for search by meaning, such as"
        " http://127.0.0.1:11434/v1. Texts of messages and searches are sent to it.",
        section=EMBEDDINGS,
    )
    embeddings_model: str = _setting(
        "", "The name of the embedding model, as the endpoint knows it.", section=EMBEDDINGS
    )
    embeddings_key: str = _setting(
        "", "The API key of the endpoint. Overrides the file.", section=EMBEDDINGS, flag=False
    )
    embeddings_key_file: str = _setting(
        "",
        "The file of USERKEEP_EMBEDDINGS_KEY, readable by its owner alone.",
        section=EMBEDDINGS,
    )
    embeddings_folder: str = _setting(
        "",
        "The folder of an embedding model in ONNX format, which runs on this machine, instead of an"
        " endpoint. It needs the extra `local` of the package.",
        section=EMBEDDINGS,
    )
    embeddings_dimensions: int = _setting(
        0,
        "The length of embeddings to request from a model that offers several. 0 means the model's"
        " own.",
        most=4096,
        section=EMBEDDINGS,
    )
    embeddings_query_prefix: str = _setting(
        "",
        'What the model wants before the text of a search, such as "query: ".',
        section=EMBEDDINGS,
    )
    embeddings_message_prefix: str = _setting(
        "",
        'What the model wants before the text of a message, such as "passage: ".',
        section=EMBEDDINGS,
    )
    embeddings_batch_size: int = _setting(
        32,
        "The maximum number of messages that are embedded together.",
        least=1,
        most=2048,
        section=EMBEDDINGS,
    )
    embeddings_daily_budget: int = _setting(
        0,
        "The number of tokens a day (UTC) that all servers of the database together may send to the"
        " endpoint. The last tenth is for searches alone. 0 means no limit.",
        section=EMBEDDINGS,
    )
    embeddings_timeout_seconds: int = _setting(
        30,
        "Seconds in which the embeddings of a batch of messages must be ready.",
        least=1,
        most=600,
        section=EMBEDDINGS,
    )
    embeddings_threads: int = _setting(
        1,
        "The number of threads in which a model in a folder computes, in its own process.",
        least=1,
        most=256,
        section=EMBEDDINGS,
    )
    embeddings_query_timeout_ms: int = _setting(
        500,
        "Milliseconds that the embedding of a query may take. Without one, a search compares words"
        " alone.",
        least=10,
        most=60_000,
        section=EMBEDDINGS,
    )
    hnsw_min_documents: int = _setting(
        50_000,
        "PostgreSQL with the extension pgvector: the number of documents from which a collection"
        " has an HNSW index. It makes searches faster, which may then miss some results. Less than"
        " 1,000 counts as 1,000; 0: none.",
        section=EMBEDDINGS,
    )
    log_level: str = _setting("info", "The log level: critical, error, warning, info or debug.")
    log_format: str = _setting("text", "The format of the log: text or json (one object a line).")


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """Which server the command line talks to, where it does not open a database itself."""

    url: str = _setting(
        "",
        "The server to use, such as http://127.0.0.1:8000. Overrides USERKEEP_DATABASE_URL.",
    )
    api_key: str = _setting(
        "", "The API key to send to the server. Overrides the file.", flag=False
    )
    api_key_file: str = _setting("", "The file of the API key to send to the server.")


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return f"USERKEEP_{name.upper()}"


def flag_of(name: str) -> str:
    """The flag of a setting; `--database` for short."""
    return "--database" if name == "database_url" else f"--{name.replace('_', '-')}"


def load_settings(
    given: Mapping[str, Any] | None = None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """The settings in force: what is given (flags), then the environment, then the defaults.

    Raises:
        SettingError: naming the setting.
    """
    environment = _without_service_links(environment)
    _refuse_unknown(environment)
    _check_given(given or {})
    values: dict[str, Any] = {}
    for each in fields(Settings):
        text = environment.get(variable_of(each.name))
        if given and given.get(each.name) is not None:
            values[each.name] = given[each.name]
        elif text:
            values[each.name] = _parsed(each.name, each.type, text)
        _check_range(each.name, values.get(each.name), **each.metadata)
    if values.get("database_url"):
        values["database_url"] = url_of_database(values["database_url"])
    settings = Settings(**values)
    _check_choice("log_level", settings.log_level, LOG_LEVELS)
    _check_choice("log_format", settings.log_format, LOG_FORMATS)
    _check_choice("compression", settings.compression, COMPRESSIONS)
    _check_choice("search_language", settings.search_language, LANGUAGES)
    purge_schedule(settings)
    _check_addresses(settings)
    _check_row_security(settings)
    _check_metrics(settings)
    _check_backups(settings)
    _check_embeddings(settings)
    if 0 < len(settings.secret) < 16:
        raise SettingError("USERKEEP_SECRET must have at least 16 characters.")
    if 0 < len(settings.zep_auth_secret) < 16:
        raise SettingError("USERKEEP_ZEP_AUTH_SECRET must have at least 16 characters.")
    check_api_key(settings.api_key)
    return settings


def load_server_settings(
    given: Mapping[str, Any] | None = None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """The settings of a server: those of `load_settings`, and the port that a platform sets.

    `PORT` applies if neither a flag nor USERKEEP_PORT names a port.

    Raises:
        SettingError: naming the setting.
    """
    settings = load_settings(given, environment)
    text = environment.get(PLATFORM_PORT)
    is_set = (given or {}).get("port") is not None or _without_service_links(environment).get(
        variable_of("port")
    )
    if is_set or not text:
        return settings
    if not (text.isascii() and text.isdigit() and int(text) <= _LARGEST_PORT):
        raise SettingError(
            f"{PLATFORM_PORT} must be a port from 0 to {_LARGEST_PORT}, not {text!r}. Set "
            "USERKEEP_PORT to use another variable."
        )
    return replace(settings, port=int(text))


def requested_log_format(
    given: Mapping[str, Any], environment: Mapping[str, str] = os.environ
) -> str:
    """The log format in the settings, unchecked: the other settings may be wrong too."""
    return str(given.get("log_format") or environment.get(variable_of("log_format")) or "text")


def check_api_key(key: str) -> None:
    """Check an API key of the server, if there is one: a client sends it as a header.

    Raises:
        SettingError: it is too short, or has characters that a header cannot have.
    """
    is_visible = key.isascii() and key.isprintable() and " " not in key
    if key and not (is_visible and len(key) >= MIN_KEY_LENGTH):
        raise SettingError(
            f"USERKEEP_API_KEY must have at least {MIN_KEY_LENGTH} visible ASCII characters, "
            "without spaces."
        )


def load_client_settings(
    given: Mapping[str, str | None] | None = None, environment: Mapping[str, str] = os.environ
) -> ClientSettings:
    """The client's settings in force: what is given (flags), then the environment.

    Raises:
        SettingError: a variable is none of Userkeep's.
    """
    _refuse_unknown(_without_service_links(environment))
    values = {
        each.name: (given or {}).get(each.name) or environment.get(variable_of(each.name), "")
        for each in fields(ClientSettings)
    }
    if given and given.get("api_key_file") and not given.get("api_key"):
        values["api_key"] = ""  # a flag overrides the environment
    return ClientSettings(**values)


def _check_given(given: Mapping[str, Any]) -> None:
    kinds = {each.name: each.type for each in fields(Settings)}
    for name, value in given.items():
        if name not in kinds:
            raise SettingError(
                f"{name} is not a setting of Userkeep; see docs/reference/settings.md."
            )
        if value is not None and not _is_of(value, kinds[name]):
            raise SettingError(f"{name} must be {_KINDS[kinds[name]]}, not {value!r}.")


_KINDS: dict[Any, str] = {
    int: "a whole number",
    str: "a text",
    bool: "True or False",
    tuple[str, ...]: "a tuple of texts",
}


def _is_of(value: Any, kind: Any) -> bool:
    if kind == tuple[str, ...]:
        return type(value) is tuple and all(type(each) is str for each in value)
    return type(value) is kind


def _check_addresses(settings: Settings) -> None:
    """Check the settings that say what is in front of the server."""
    root_path = (settings.root_path,) if settings.root_path else ()
    lists: tuple[tuple[str, tuple[str, ...], Callable[[str], object]], ...] = (
        ("allowed_host", settings.allowed_host, parse_allowed_host),
        ("cors_origin", settings.cors_origin, parse_origin),
        ("forwarded_allow_ips", settings.forwarded_allow_ips, parse_peer),
        ("root_path", root_path, parse_root_path),
    )
    for name, texts, parse in lists:
        for text in texts:
            try:
                parse(text)
            except ValueError as error:
                raise SettingError(f"{variable_of(name)}: {error}") from error


def _check_row_security(settings: Settings) -> None:
    if settings.postgres_row_security and not is_postgres(settings.database_url):
        raise SettingError(
            "USERKEEP_POSTGRES_ROW_SECURITY is true, but SQLite has no row-level security. Use a "
            "PostgreSQL database, or set it to false."
        )


def _check_metrics(settings: Settings) -> None:
    if settings.metrics_port and not settings.metrics:
        raise SettingError(
            "USERKEEP_METRICS_PORT is set, but USERKEEP_METRICS is false. Set it to true, or leave "
            "the port out."
        )


def _check_backups(settings: Settings) -> None:
    if settings.backup_passphrase_file and settings.backup_key_file:
        raise SettingError(
            "USERKEEP_BACKUP_PASSPHRASE_FILE and USERKEEP_BACKUP_KEY_FILE are both set. Backups "
            "are sealed with one of them: unset the other."
        )
    if not settings.backup_folder:
        return
    if is_postgres(settings.database_url):
        raise SettingError(
            "USERKEEP_BACKUP_FOLDER is set, but the server does not back up PostgreSQL. Use "
            "pg_dump or snapshots, and unset it."
        )
    if settings.database_url == "sqlite:///:memory:":
        raise SettingError(
            "USERKEEP_BACKUP_FOLDER is set. In-memory databases are not backed up: unset it, or "
            "use a database in a file."
        )
    if not (settings.backup_passphrase_file or settings.backup_key_file):
        raise SettingError(
            "USERKEEP_BACKUP_FOLDER is set, but nothing to seal backups with. Set "
            "USERKEEP_BACKUP_PASSPHRASE_FILE or USERKEEP_BACKUP_KEY_FILE."
        )


def _check_embeddings(settings: Settings) -> None:
    """Check which embedding model is meant; its URL and its files are checked where it is opened.

    A setting that would have no effect is rejected: its user expects one.
    """
    if settings.embeddings_url and settings.embeddings_folder:
        raise SettingError(
            "USERKEEP_EMBEDDINGS_URL and USERKEEP_EMBEDDINGS_FOLDER are both set. Embeddings come "
            "from one of them: unset the other."
        )
    if settings.embeddings_url and not settings.embeddings_model:
        raise SettingError(
            "USERKEEP_EMBEDDINGS_URL is set, but not USERKEEP_EMBEDDINGS_MODEL. Set it to the name "
            "of the model, such as text-embedding-3-small or all-minilm."
        )
    if not settings.embeddings_url:
        _check_unset(settings, _OF_AN_ENDPOINT, "USERKEEP_EMBEDDINGS_URL")
    if not (settings.embeddings_url or settings.embeddings_folder):
        needed = "USERKEEP_EMBEDDINGS_URL and USERKEEP_EMBEDDINGS_FOLDER"
        _check_unset(settings, _OF_A_MODEL, needed)


_OF_AN_ENDPOINT = (
    "embeddings_model",
    "embeddings_key",
    "embeddings_key_file",
    "embeddings_dimensions",
    "embeddings_daily_budget",
)
_OF_A_MODEL = ("embeddings_query_prefix", "embeddings_message_prefix")


def _check_unset(settings: Settings, names: Iterable[str], needed: str) -> None:
    for name in names:
        if getattr(settings, name):
            raise SettingError(
                f"{variable_of(name)} is set without {needed}. Set "
                f"{'one of them' if ' and ' in needed else 'it'} too, or unset it."
            )


def _check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise SettingError(
            f"{variable_of(name)} must be one of {', '.join(choices)}; got {value!r}."
        )


def _check_range(name: str, value: Any, *, least: int, most: int, **_: Any) -> None:
    if isinstance(value, int) and value < least:
        raise SettingError(f"{variable_of(name)} must be at least {least}.")
    if isinstance(value, int) and value > most:
        raise SettingError(f"{variable_of(name)} must be at most {most}.")


def _without_service_links(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what Kubernetes sets for a Service with our name."""
    port = variable_of("port")
    return {
        name: value
        for name, value in environment.items()
        if not (_LINK_NAMES.fullmatch(name) or (name == port and _LINK_VALUE.match(value)))
    }


def ignored_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names of variables that Kubernetes sets for a Service with our name."""
    return sorted(environment.keys() - _without_service_links(environment))


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {variable_of(each.name) for each in (*fields(Settings), *fields(ClientSettings))}
    for name in environment:
        is_ours = name.startswith("USERKEEP_") and not name.startswith("USERKEEP_TEST_")
        if is_ours and name not in known:
            raise SettingError(
                f"{name} is not a setting of Userkeep{_nearest(name, known)}; see "
                "docs/reference/settings.md."
            )


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return a question that names the nearest known variable; empty if none is near."""
    near = difflib.get_close_matches(name, sorted(known), 1, cutoff=0.8)
    return f" (did you mean {near[0]}?)" if near else ""


def _parsed(name: str, kind: Any, text: str) -> Any:
    if kind is bool:
        if text.lower() in {"1", "true", "yes", "on"}:
            return True
        if text.lower() in {"0", "false", "no", "off"}:
            return False
        raise SettingError(f"{variable_of(name)} must be true or false, not {text!r}.")
    if kind is int:
        try:
            return int(text)
        except ValueError as error:
            raise SettingError(
                f"{variable_of(name)} must be a whole number, not {text!r}."
            ) from error
    if kind == tuple[str, ...]:
        return split_list(text)
    return text


def split_list(text: str) -> tuple[str, ...]:
    """Return the values of a list that is separated by commas."""
    return tuple(each.strip() for each in text.split(",") if each.strip())


def purge_schedule(settings: Settings) -> Schedule:
    """When what was deleted is purged.

    Raises:
        SettingError: the window is none.
    """
    window = parse_window(settings.purge_window)
    if window is None:
        raise SettingError("USERKEEP_PURGE_WINDOW must be two times of the day, as 01:00-05:00.")
    return Schedule(
        within_us=settings.purge_within_minutes * MINUTE,
        large_bytes=settings.purge_large_mib * MIB,
        window=window,
    )


def url_of_database(database: str) -> str:
    """Return the URL of a database that is named by a URL or by a path (`~` is the home directory).

    What looks like another URL stays as it is, for `sqlite_path` to reject.
    """
    if _OTHER_URL.match(database):
        return database
    return f"sqlite:///{os.path.expanduser(database)}"  # noqa: PTH111 - Path removes "./" and "//"


def is_postgres(database_url: str) -> bool:
    """Whether a URL is one of PostgreSQL."""
    return database_url.startswith(("postgresql://", "postgres://"))


def sqlite_path(database_url: str) -> str:
    """The path in a `sqlite:///` URL, or `:memory:`.

    Raises:
        SettingError: the URL is not one of a database that this version can open.
    """
    prefix = "sqlite:///"
    if not database_url.startswith(prefix):
        raise SettingError(
            f"{_shown(database_url)} is not a database that this version can open; use the path of "
            "a SQLite file such as userkeep.db, sqlite:///path/to/userkeep.db, :memory: or "
            "postgresql://host/database."
        )
    path = database_url.removeprefix(prefix)
    if not path:
        raise SettingError(
            "USERKEEP_DATABASE_URL names no file; use the path of a SQLite file such as "
            "userkeep.db, :memory: or postgresql://host/database."
        )
    return path


def _shown(database: str) -> str:
    """Return the name of a database for a message; only its scheme if it may have a password."""
    if "@" in database or "password" in database.lower():
        scheme = database.partition(":")[0]
        return f"A {scheme} URL" if scheme.isalnum() else "This URL"
    return repr(database)


def has_password(database_url: str) -> bool:
    """Whether a database URL has a password, before its host or as a parameter."""
    _, separator, rest = database_url.partition("://")
    place, _, parameters = rest.partition("?")
    credentials, at, _ = place.rpartition("@")
    names = {each.partition("=")[0] for each in parameters.split("&")}
    in_credentials = bool(at and credentials.partition(":")[2])
    return bool(separator) and (in_credentials or "password" in names)


def without_password(database_url: str) -> str:
    """A database URL that may be shown."""
    scheme, separator, rest = database_url.partition("://")
    credentials, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{credentials.partition(':')[0]}{at}{place}"


def shown_settings(settings: Settings) -> list[tuple[str, str, str]]:
    """Return each setting with its variable, its value as it may be shown, and what it is."""
    return [
        (variable_of(each.name), _value_to_show(settings, each), each.metadata["help"])
        for each in fields(settings)
    ]


def _value_to_show(settings: Settings, setting: Field[Any]) -> str:
    value = getattr(settings, setting.name)
    if not setting.metadata["flag"]:
        return "set, not shown" if value else ""  # a secret; see `_setting`
    if setting.name == "database_url":
        return without_password(value)
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, tuple) else str(value)
