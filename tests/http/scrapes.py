"""Reads metrics as Prometheus does."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from tests.http.clients import InProcessClient


class Scraped:
    """The metrics of one scrape."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """Return the value of the one sample with these labels; 0 if there is none."""
        found = [
            sample.value
            for sample in self.samples
            if sample.name == name and _has(sample.labels, labels)
        ]
        assert len(found) <= 1, (name, labels)
        return found[0] if found else 0.0

    def labels(self, name: str, label: str) -> set[str]:
        """Return the values of a label."""
        return {each.labels[label] for each in self.samples if each.name == name}


def _has(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return wanted.items() <= labels.items()


def scrape(client: InProcessClient, **headers: str) -> Scraped:
    """Return the metrics of a server."""
    response = client.send("GET", "/metrics", headers=headers)
    assert response.status == 200, response.text
    return Scraped(response.text)
