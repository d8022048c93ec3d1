"""Alert rules, dashboard and documentation name the metrics that servers have."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

import httpx2
import pytest
import yaml

from tests.docs.pages import DOCS, ROOT
from tests.embedding_server import serving_embeddings
from tests.http.clients import SocketClient
from tests.http.scrapes import Scraped
from tests.monitoring.promql import Expression
from tests.postgres import migrated_database
from tests.serving import Server, serving

FOLDER = ROOT / "deploy" / "monitoring"
RULES: list[Any] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD: Any = json.loads((FOLDER / "dashboard.json").read_text())
PAGE = (DOCS / "operations" / "monitor.md").read_text()

OF_PROMETHEUS = {"up"}
OF_THE_TARGET = {"job", "instance"}
"""Labels that Prometheus gives to every metric of a target."""

OPEN = {"status", "route", "method", "version", "le"}
"""Labels whose values depend on the requests, and on the server."""


class Exposed(NamedTuple):
    """The metrics of servers on both engines: families, and samples with the values of labels."""

    families: Mapping[str, frozenset[str]]
    samples: Mapping[str, Mapping[str, set[str]]]


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exposed]:
    families: dict[str, frozenset[str]] = {}
    samples: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    with ExitStack() as stack:
        endpoint = stack.enter_context(serving_embeddings())
        settings = {**endpoint.settings, "USERKEEP_EMBEDDINGS_DAILY_BUDGET": "1000"}
        for url in (None, migrated_database()):
            folder = tmp_path_factory.mktemp("server")
            server = stack.enter_context(serving(folder, database_url=url, settings=settings))
            for family in scraped(server).families.values():
                name = f"{family.name}_total" if family.type == "counter" else family.name
                labels = {label for sample in family.samples for label in sample.labels}
                families[name] = frozenset(labels - {"le"})
                for sample in family.samples:
                    for label, value in sample.labels.items():
                        samples[sample.name][label].add(value)
                    samples[sample.name] = samples[sample.name]
        yield Exposed(families, samples)


def scraped(server: Server) -> Scraped:
    """Return the metrics of a server that has had requests of several kinds."""
    SocketClient(server.port).send_bytes([b"GARBAGE\r\n\r\n"])
    with closing(httpx2.Client(base_url=server.url)) as client:
        client.post("/v1/users", json={"user_id": "jane"})
        client.delete("/v1/users/jane")
        return Scraped(client.get("/metrics").text)


def alerts() -> list[Any]:
    return [pytest.param(rule, id=rule["alert"]) for rule in RULES]


def dashboard_expressions() -> list[str]:
    targets = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    notes = DASHBOARD["annotations"]["list"]
    return [each["expr"].replace("$__rate_interval", "5m") for each in (*targets, *notes)]


def check(exposed: Exposed, text: str) -> None:
    """Check that an expression parses, and names what servers have."""
    expression = Expression(text)
    assert expression.selectors
    known: set[str] = set(OF_THE_TARGET)
    for selector in expression.selectors:
        if selector.name in OF_PROMETHEUS:
            continue
        assert selector.name in exposed.samples, selector.name
        labels = exposed.samples[selector.name]
        known |= labels.keys()
        for name, value in selector.labels.items():
            assert name in labels.keys() | OF_THE_TARGET, (selector.name, name)
            if value is not None and name not in OPEN | OF_THE_TARGET:
                assert value in labels[name], (selector.name, name, value)
    assert expression.grouped_by <= known


@pytest.mark.parametrize("rule", alerts())
def test_an_alert_parses_and_names_metrics_that_exist(rule: Any, exposed: Exposed) -> None:
    check(exposed, rule["expr"])


@pytest.mark.parametrize("rule", alerts())
def test_an_alert_has_a_severity_a_summary_and_a_section_to_read(rule: Any) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    annotations = rule["annotations"]
    assert annotations["summary"].endswith(".")
    section = f"docs/operations/troubleshoot.md#{rule['alert'].lower()}"
    assert annotations["runbook_url"] == section
    labels = set(re.findall(r"\$labels\.(\w+)", annotations["summary"]))
    grouped_by = Expression(rule["expr"]).grouped_by
    assert not grouped_by or labels <= grouped_by


def test_the_documentation_has_every_alert() -> None:
    documented = re.findall(r"^\| `(Userkeep\w+)` \|", PAGE, re.MULTILINE)
    assert documented == [rule["alert"] for rule in RULES]


def test_the_troubleshooting_page_has_a_section_for_every_alert() -> None:
    page = (DOCS / "operations" / "troubleshoot.md").read_text()
    alerts_of_page = page.split("\n## Alerts\n")[1].split("\n## ")[0]
    sections = re.findall(r"^### (\w+)$", alerts_of_page, re.MULTILINE)
    assert sections == [rule["alert"] for rule in RULES]
    anchors = [rule["annotations"]["runbook_url"].partition("#")[2] for rule in RULES]
    assert [section.lower() for section in sections] == anchors


def test_the_dashboard_parses_and_names_metrics_that_exist(exposed: Exposed) -> None:
    expressions = dashboard_expressions()
    assert len(expressions) > 30
    for text in expressions:
        check(exposed, text)


def test_the_dashboard_uses_the_data_source_that_its_reader_chooses() -> None:
    sources = re.findall(r'"uid": "([^"]*)"', json.dumps(DASHBOARD))
    assert {*sources} == {"userkeep", "${datasource}"}
    names = [each["name"] for each in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "job", "instance"]


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells


def test_the_documentation_has_every_metric_with_its_labels(exposed: Exposed) -> None:
    rows = re.findall(r"^\| `(userkeep_\w+)` \|([^|]*)\|", PAGE, re.MULTILINE)
    documented = {name: frozenset(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    own = {name: labels for name, labels in exposed.families.items() if "userkeep" in name}
    assert documented == own
    others = exposed.families.keys() - own.keys()
    assert all(f"`{name}`" in PAGE for name in others), others
    kinds = exposed.samples["userkeep_job_runs_total"]["kind"]
    pools = exposed.samples["userkeep_pool_size"]["pool"]
    assert all(f"`{name}`" in PAGE for name in (*kinds, *pools))
