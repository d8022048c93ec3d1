"""The Kubernetes manifests: valid by the schemas of Kubernetes, and what matters in them.

No cluster runs here. `kubectl kustomize`, where it is installed, builds both variants.
"""

import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.files import KUBERNETES, image_environment, manifests, only, workloads
from tests.deploy.programs import find
from userkeep.config import Settings, variable_of
from userkeep.http.app import PUBLIC_PATHS

VERSIONS = ("1.30", "1.37")
PATCHES = {"egress.yaml"}
DATABASE_URL = "USERKEEP_DATABASE_URL"


def kind_of(workload: dict[str, Any]) -> str:
    return "sqlite" if workload["spec"]["replicas"] == 1 else "postgres"


@pytest.fixture(params=workloads(), ids=kind_of)
def workload(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A StatefulSet: on PostgreSQL, or with SQLite."""
    found: dict[str, Any] = request.param
    return found


@pytest.fixture
def pod(workload: dict[str, Any]) -> dict[str, Any]:
    """Its pod."""
    spec: dict[str, Any] = workload["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    """The container of the server."""
    [found] = pod["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(version: str) -> None:
    for path, document in manifests():
        is_whole = path.name not in PATCHES and document["kind"] != "Kustomization"
        if is_whole:
            kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("variant", ["postgres", "sqlite"])
def test_kubectl_builds_valid_objects(variant: str) -> None:
    kubectl = find("kubectl")
    built = subprocess.check_output([kubectl, "kustomize", KUBERNETES / variant], text=True)
    documents = list(yaml.safe_load_all(built))
    for document in documents:
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)
    policies = [each["spec"] for each in documents if each["kind"] == "NetworkPolicy"]
    [policy] = policies
    ports = [port["port"] for rule in policy.get("egress") or () for port in rule["ports"]]
    assert ports == ([53, 53, 5432] if variant == "postgres" else [])
    assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_every_object_is_in_the_namespace_that_admits_only_restricted_pods() -> None:
    found = {document["kind"]: document for _, document in manifests()}
    namespace = found.pop("Namespace")
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    found.pop("Kustomization")
    assert {each["metadata"]["namespace"] for each in found.values()} == {"userkeep"}


def test_a_pod_is_restricted(pod: dict[str, Any], container: dict[str, Any]) -> None:
    user, group = map(int, only("USER").split(":"))
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert (security["runAsUser"], security["runAsGroup"]) == (user, group)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_probes_ask_paths_that_need_no_key(container: dict[str, Any]) -> None:
    for name, path in (("startup", "/healthz"), ("liveness", "/healthz"), ("readiness", "/readyz")):
        asked = container[f"{name}Probe"]["httpGet"]
        assert (asked["path"], asked["port"]) == (path, "http")
        assert path.encode() in PUBLIC_PATHS
        assert asked["httpHeaders"] == [{"name": "Host", "value": "localhost"}]


def test_ports_agree(container: dict[str, Any]) -> None:
    [port] = container["ports"]
    assert port == {"name": "http", "containerPort": int(only("EXPOSE"))}
    assert port["containerPort"] == Settings().port
    [service] = [document for _, document in manifests() if document["kind"] == "Service"]
    assert service["spec"]["ports"] == [{"name": "http", "port": 8000, "targetPort": "http"}]
    assert "USERKEEP_PORT" not in image_environment()


def test_selectors_find_the_pods(workload: dict[str, Any]) -> None:
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert workload["spec"]["selector"]["matchLabels"] == labels
    for _, document in manifests():
        spec = document.get("spec", {})
        if document["kind"] == "Service":
            assert spec["selector"] == labels
        elif document["kind"] == "PodDisruptionBudget":
            assert spec["selector"]["matchLabels"] == labels
        elif document["kind"] == "NetworkPolicy" and "podSelector" in spec:
            assert spec["podSelector"]["matchLabels"] == labels


def test_settings_come_from_a_secret_by_reference(
    workload: dict[str, Any], container: dict[str, Any]
) -> None:
    known = {variable_of(name) for name in Settings.__dataclass_fields__}
    given = {each["name"]: each for each in container["env"]}
    assert given.keys() <= known
    assert given.pop("USERKEEP_LEDGER_FILE")["value"].startswith("/var/lib/userkeep-ledger/")
    references = {name: each["valueFrom"]["secretKeyRef"] for name, each in given.items()}
    assert {each["name"] for each in references.values()} == {"userkeep"}
    assert (DATABASE_URL in references) == (workload["spec"]["replicas"] > 1)
    assert {"USERKEEP_SECRET", "USERKEEP_API_KEY"} <= references.keys()
    assert not [document for _, document in manifests() if document["kind"] == "Secret"]


def test_a_stop_has_the_time_that_it_needs(pod: dict[str, Any], container: dict[str, Any]) -> None:
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= pause + 10


def test_a_sqlite_file_has_one_server_and_a_volume() -> None:
    [workload] = [each for each in workloads() if each["spec"]["replicas"] == 1]
    assert mounts_of(workload)["data"] == only("VOLUME")


def test_each_server_has_a_volume_for_its_ledger(workload: dict[str, Any]) -> None:
    assert mounts_of(workload)["ledger"] == "/var/lib/userkeep-ledger"
    for claim in workload["spec"]["volumeClaimTemplates"]:
        assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert workload["spec"]["template"]["spec"]["securityContext"]["fsGroup"] == 10_001


def mounts_of(workload: dict[str, Any]) -> dict[str, str]:
    """Return where the volumes of claims are mounted, by name."""
    claimed = {each["metadata"]["name"] for each in workload["spec"]["volumeClaimTemplates"]}
    [container] = workload["spec"]["template"]["spec"]["containers"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert claimed <= mounts.keys()
    return {name: mounts[name] for name in claimed}


def test_servers_of_two_versions_never_share_a_database() -> None:
    [workload] = [each for each in workloads() if each["spec"]["replicas"] > 1]
    assert workload["spec"]["updateStrategy"] == {"type": "OnDelete"}
