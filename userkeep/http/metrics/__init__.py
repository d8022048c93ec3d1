"""`/metrics`: numbers about the server, for Prometheus."""

from userkeep.http.metrics.metrics import Metrics
from userkeep.http.metrics.port import MetricsApplication
from userkeep.http.metrics.requests import RequestFigures
from userkeep.http.metrics.sources import Sources

__all__ = ["Metrics", "MetricsApplication", "RequestFigures", "Sources"]
