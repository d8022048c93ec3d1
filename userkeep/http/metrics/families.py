"""Metrics from plain numbers, in the data model of Prometheus.

No label has an id, a name or a path: only templates of routes, states, and names of parts.
"""

import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from userkeep.domain.embedding import Embedder
from userkeep.domain.values.histograms import Histogram
from userkeep.domain.values.times import SECOND, Instant
from userkeep.http.metrics.requests import RequestFigures
from userkeep.http.metrics.sources import Scrape, Sources
from userkeep.services.monitoring import StoredFigures
from userkeep.storage.engine import Engine
from userkeep.storage.figures import Figures, PoolFigures
from userkeep.storage.ledger import LedgerFigures
from userkeep.version import __version__
from userkeep.worker.worker import Worker

_HTTP = ("method", "route")


def families(sources: Sources, scrape: Scrape) -> Iterator[Metric]:
    """Yield all metrics of a server."""
    yield _info(sources.engine)
    yield from _of_requests(sources.requests)
    yield from _of_connections(sources)
    yield from _of_authentication(sources)
    yield from _of_readiness(scrape)
    yield from _of_engine(sources.engine.figures())
    yield from _of_disk(sources)
    yield from _of_ledger(sources.ledger.figures)
    yield from _of_jobs(sources.worker)
    if sources.embedder is not None:
        yield from _of_embedder(sources.embedder)
    if scrape.stored is not None:
        yield from _of_stored(scrape.stored, sources, scrape.now_s)


def _info(engine: Engine) -> Metric:
    info = {
        "version": __version__,
        "engine": engine.dialect,
        "python": platform.python_version(),
    }
    return InfoMetricFamily("userkeep", "Version, engine and Python of the server.", info)


def _of_requests(requests: RequestFigures) -> Iterator[Metric]:
    total = CounterMetricFamily(
        "userkeep_http_requests", "Requests by route and status.", labels=(*_HTTP, "status")
    )
    by_route: dict[tuple[str, str], list[Histogram]] = defaultdict(list)
    for series in requests.series():
        durations_s = series.durations_s
        labels = (series.method, series.route)
        total.add_metric((*labels, str(series.status)), sum(durations_s.counts))
        by_route[labels].append(durations_s)
    yield total
    duration = HistogramMetricFamily(
        "userkeep_http_request_duration_seconds",
        "From the head of a request to the last byte of its response.",
        labels=_HTTP,
    )
    for labels, of_route in by_route.items():
        _add_histogram(duration, labels, of_route)
    yield duration
    yield _gauge(
        "userkeep_http_requests_in_flight", "Requests that are running.", requests.in_flight
    )


def _of_connections(sources: Sources) -> Iterator[Metric]:
    connections = sources.connections
    if connections is None:
        return
    yield _gauge("userkeep_http_connections", "Open connections.", connections.open)
    rejected = CounterMetricFamily(
        "userkeep_http_rejected_requests",
        "Requests without a route: not valid HTTP, too slow, too large, a connection too many.",
        labels=("status",),
    )
    for status, count in list(connections.rejected.items()):
        rejected.add_metric((str(status),), count)
    yield rejected


def _of_authentication(sources: Sources) -> Iterator[Metric]:
    figures = sources.authenticator.figures
    yield _counters(
        "userkeep_auth_failures",
        "Requests rejected because of their credential: missing, or invalid.",
        "reason",
        {"missing": figures.missing, "invalid": figures.invalid},
    )
    yield _counters(
        "userkeep_rate_limited_requests",
        "Requests with 429: over the limit of their key, or after many failed attempts.",
        "limit",
        {"key": figures.over_limit, "failed_attempts": figures.slowed},
    )


def _of_readiness(scrape: Scrape) -> Iterator[Metric]:
    readiness = scrape.readiness
    yield _gauge(
        "userkeep_ready", "Whether /readyz reports the server as ready.", readiness.is_ready
    )
    yield _gauges(
        "userkeep_ready_check",
        "The checks of /readyz: 1 if passed or skipped, 0 if failed.",
        "check",
        {name: check.status != "failed" for name, check in readiness.checks.items()},
    )


def _of_engine(figures: Figures) -> Iterator[Metric]:
    yield _gauge("userkeep_queue_waiting", "Operations that wait.", figures.queued)
    yield _gauge("userkeep_queue_limit", "How many may wait.", figures.queue_limit)
    yield CounterMetricFamily(
        "userkeep_queue_rejected", "Operations rejected by a full queue.", figures.rejected
    )
    yield _gauge(
        "userkeep_long_reads", "Long reads that run or wait for a thread.", figures.long_reads
    )
    if figures.writer is not None:
        groups = HistogramMetricFamily(
            "userkeep_sqlite_group_commit_writes", "Writes in one commit.", labels=()
        )
        _add_histogram(groups, (), [figures.writer.groups])
        yield groups
        yield CounterMetricFamily(
            "userkeep_sqlite_writer_busy_seconds",
            "Time in which the writer ran and committed writes.",
            figures.writer.busy_s,
        )
    if figures.pools:
        yield from _of_pools(figures.pools.items())


def _of_pools(pools: Iterable[tuple[str, PoolFigures]]) -> Iterator[Metric]:
    by_name = dict(pools)
    yield _gauges(
        "userkeep_pool_size",
        "Connections to PostgreSQL that a pool may have.",
        "pool",
        {name: pool.size for name, pool in by_name.items()},
    )
    yield _gauges(
        "userkeep_pool_connections",
        "Connections to PostgreSQL that a pool has.",
        "pool",
        {name: pool.connected for name, pool in by_name.items()},
    )
    yield _gauges(
        "userkeep_pool_busy",
        "Connections to PostgreSQL that run an operation.",
        "pool",
        {name: pool.busy for name, pool in by_name.items()},
    )


def _of_disk(sources: Sources) -> Iterator[Metric]:
    disk = sources.engine.disk()
    if disk is None:
        return
    yield _gauge(
        "userkeep_disk_free_bytes", "Free space on the disk of the database.", disk.free_bytes
    )
    yield _gauge("userkeep_sqlite_wal_bytes", "Size of the write-ahead log.", disk.wal_bytes)
    yield _gauge(
        "userkeep_sqlite_wal_limit_bytes",
        "The size above which the write-ahead log is truncated.",
        sources.wal_limit_bytes,
    )


def _of_ledger(figures: LedgerFigures) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "userkeep_ledger_entries", "Deletions recorded in the ledger.", figures.recorded
    )
    yield CounterMetricFamily(
        "userkeep_ledger_failures",
        "Attempts to record deletions in the ledger that failed.",
        figures.failures,
    )


def _of_jobs(worker: Worker) -> Iterator[Metric]:
    # Not a label `job`: Prometheus gives each metric the one of its target.
    jobs = {name.replace(" ", "_"): each for name, each in list(worker.figures.items())}
    counted = (
        ("userkeep_job_runs", "Runs of a background job that succeeded.", "runs"),
        ("userkeep_job_failures", "Runs of a background job that failed.", "failures"),
        ("userkeep_job_restarts", "Restarts of a background job after an error.", "restarts"),
        ("userkeep_job_busy_seconds", "Time in which a background job ran.", "busy_s"),
    )
    for name, meaning, attribute in counted:
        values = {kind: getattr(each, attribute) for kind, each in jobs.items()}
        yield _counters(name, meaning, "kind", values)
    yield _gauges(
        "userkeep_job_last_success_timestamp_seconds",
        "When a background job succeeded last, as Unix time.",
        "kind",
        {kind: each.succeeded_at_s for kind, each in jobs.items() if each.succeeded_at_s},
    )
    yield _gauges(
        "userkeep_job_lag_seconds",
        "How long ago a background job should have run.",
        "kind",
        {kind: each.lag_s for kind, each in jobs.items() if each.lag_s is not None},
    )
    yield _gauge("userkeep_purge_running", "Whether this server is purging.", worker.is_purging)


def _of_embedder(embedder: Embedder) -> Iterator[Metric]:
    figures = embedder.figures
    counted: tuple[tuple[str, str, Mapping[str, float]], ...] = (
        ("userkeep_embedding_requests", "Requests for embeddings.", figures.requests),
        ("userkeep_embedding_texts", "Texts of which embeddings were made.", figures.texts),
        ("userkeep_embedding_busy_seconds", "Time that embeddings took.", figures.busy_s),
    )
    for name, meaning, values in counted:
        yield _counters(name, meaning, "of", values)
    yield _counters(
        "userkeep_embedding_failures",
        "Requests for embeddings that failed.",
        "reason",
        figures.failures,
    )
    yield CounterMetricFamily(
        "userkeep_embedding_tokens", "Tokens that were sent to the endpoint.", figures.tokens
    )
    if embedder.budget is not None:
        left = embedder.budget.left
        yield _gauge(
            "userkeep_embedding_budget_left_tokens", "What is left of the daily budget.", left
        )


def _of_stored(stored: StoredFigures, sources: Sources, now_s: float) -> Iterator[Metric]:
    yield _gauge(
        "userkeep_database_bytes",
        "Size of the database; of a cluster, the part on the node that the server connects to.",
        stored.database_bytes,
    )
    yield _gauges(
        "userkeep_erasures",
        "Unfinished erasures: deleting, deleted and not purged, incomplete after a purge.",
        "state",
        {
            "deleting": stored.deleting,
            "deleted": stored.deleted,
            "incomplete": stored.incomplete,
        },
    )
    yield _gauge(
        "userkeep_erasure_oldest_deleting_age_seconds",
        "How long the oldest deletion that is not complete has been running.",
        _age_s(stored.deleting_since_at, now_s),
    )
    yield _gauge(
        "userkeep_purge_oldest_pending_age_seconds",
        "How long the oldest deleted or edited data has been waiting for a purge.",
        _age_s(stored.unpurged_since_at, now_s),
    )
    yield _gauge(
        "userkeep_purge_promise_seconds",
        "How long deleted data of a database of this size waits at most until its purge begins.",
        sources.schedule.latest_us(stored.database_bytes) / SECOND,
    )
    if sources.embedder is None:
        return
    yield _gauge(
        "userkeep_embedding_lag_messages",
        "Messages without an embedding, of 1,000 sessions at most.",
        stored.embedding_lag.messages,
    )
    yield _gauge(
        "userkeep_embedding_lag_seconds",
        "How long the oldest new message has had no embedding.",
        _age_s(stored.embedding_lag.since_at, now_s),
    )


def _age_s(since_at: Instant | None, now_s: float) -> float:
    return 0.0 if since_at is None else max(now_s - since_at / SECOND, 0.0)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, float(value))


def _gauges(name: str, meaning: str, label: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=(label,))
    for each, value in values.items():
        family.add_metric((each,), float(value))
    return family


def _counters(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, meaning, labels=(label,))
    for each, value in values.items():
        family.add_metric((each,), value)
    return family


def _add_histogram(
    family: HistogramMetricFamily, labels: tuple[str, ...], parts: list[Histogram]
) -> None:
    """Add the sum of histograms with the same bounds."""
    counts = [sum(each) for each in zip(*(part.counts for part in parts), strict=True)]
    bounds = [*map(str, parts[0].bounds), "+Inf"]
    buckets = list(zip(bounds, accumulate(counts), strict=True))
    family.add_metric(labels, buckets, sum(part.total for part in parts))
