"""The manifests: valid, hardened, and in agreement with the service. No cluster is asked."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator
from fastapi.routing import APIRoute

from functions.batch.routes import router as batch
from functions.explain.routes import router as explain
from functions.predict.routes import router as predict
from plant_disease import __version__
from plant_disease.service.app import create_app
from plant_disease.settings import Settings
from tests.functions import processes
from tools.manifests import DEPLOYMENT, KUBERNETES, RULES, deployment, kustomize, rules

VERSIONS = ("1.35", "1.36", "1.37")
FUNCTIONS = ("predict", "batch", "explain")
API = {f"api-{name}" for name in FUNCTIONS}

Manifest = dict[str, Any]


def read(text: str) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(text) if document]


def built(folder: Path) -> Callable[[], str]:
    return lambda: kustomize(folder)


COMPONENTS = sorted(path.name for path in (KUBERNETES / "components").iterdir())

SOURCES: dict[str, Callable[[], str]] = {
    "deployment.yaml": DEPLOYMENT.read_text,
    "secrets.example.yaml": (KUBERNETES / "secrets.example.yaml").read_text,
    **{f"overlays/{path.name}": built(path) for path in sorted((KUBERNETES / "overlays").iterdir())},
}


@pytest.fixture(scope="module")
def with_component(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Manifest]]:
    """The base with one component."""

    def with_component(name: str) -> list[Manifest]:
        folder = tmp_path_factory.mktemp(name)
        # kustomize takes relative paths only, and only to folders.
        link = folder / "kubernetes"
        link.symlink_to(KUBERNETES)
        base, component = (Path("kubernetes") / part for part in ("base", f"components/{name}"))
        content = {"resources": [str(base)], "components": [str(component)], "namespace": "plant-disease"}
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
        return read(kustomize(folder))

    return with_component


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    return read(DEPLOYMENT.read_text())


def of_kind(manifests: list[Manifest], *kinds: str) -> Iterator[Manifest]:
    return (manifest for manifest in manifests if manifest["kind"] in kinds)


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [each for each in of_kind(manifests, kind) if each["metadata"]["name"] == name]
    return found


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Workloads by name, with the specification of their pods."""
    for manifest in of_kind(manifests, "Deployment", "StatefulSet"):
        yield manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]


def validate(manifest: Manifest, version: str) -> None:
    """Raise if a manifest has a wrong field or an unknown one."""
    if manifest["apiVersion"] == "monitoring.coreos.com/v1":
        model = getattr(operator, manifest["kind"]).model_validate(manifest)
        # The model drops what it does not know.
        assert model.model_dump(mode="json", by_alias=True, exclude_unset=True) == manifest
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("source", SOURCES)
def test_schemas(source: str, version: str) -> None:
    manifests = read(SOURCES[source]())
    assert manifests
    for manifest in manifests:
        validate(manifest, version)


@pytest.mark.parametrize("component", COMPONENTS)
def test_schemas_of_components(component: str, with_component: Callable[[str], list[Manifest]]) -> None:
    for manifest in with_component(component):
        for version in VERSIONS:
            validate(manifest, version)


def test_a_wrong_manifest_is_refused(manifests: list[Manifest]) -> None:
    wrong = copy.deepcopy(named(manifests, "Deployment", "api-predict"))
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 40
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(wrong, VERSIONS[0])
    (monitor,) = of_kind(read(kustomize(KUBERNETES / "overlays/production-monitored")), "ServiceMonitor")
    monitor["spec"]["endpoints"][0]["relabeling"] = []
    with pytest.raises(AssertionError):
        validate(monitor, VERSIONS[0])


def test_what_is_written_by_the_tool_is_current() -> None:
    assert read(DEPLOYMENT.read_text()) == read(deployment()), "run: python tools/manifests.py"
    assert RULES.read_text() == rules(), "run: python tools/manifests.py"


@pytest.mark.parametrize("source", [source for source in SOURCES if source != "secrets.example.yaml"])
def test_pods_keep_to_the_restricted_standard(source: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and some more."""
    manifests = read(SOURCES[source]())
    (namespace,) = of_kind(manifests, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {manifest["metadata"].get("namespace") for manifest in manifests if manifest is not namespace} == {
        namespace["metadata"]["name"]
    }
    for name, pod in pods(manifests):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod), name
        for volume in pod.get("volumes", []):
            assert set(volume) & {"emptyDir", "secret", "persistentVolumeClaim", "configMap"}, volume
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
            assert {"cpu", "memory"} <= set(container["resources"]["limits"]), name
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container), name
            assert not any("hostPort" in port for port in container["ports"]), name


def test_replicas(manifests: list[Manifest]) -> None:
    ranges = {
        each["spec"]["scaleTargetRef"]["name"]: (each["spec"]["minReplicas"], each["spec"]["maxReplicas"])
        for each in of_kind(manifests, "HorizontalPodAutoscaler")
    }
    assert ranges == {"web": (2, 5), **dict.fromkeys(API, (3, 10))}
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler"):
        targets = {
            metric["resource"]["name"]: metric["resource"]["target"]["averageUtilization"]
            for metric in scaler["spec"]["metrics"]
        }
        assert targets == {"cpu": 70, "memory": 80}
    # Applying the manifests again must not undo what the autoscaler did.
    assert not any("replicas" in each["spec"] for each in of_kind(manifests, "Deployment"))


def test_requests_scale_too_where_there_is_an_adapter() -> None:
    monitored = read(kustomize(KUBERNETES / "overlays/production-monitored"))
    adapter = yaml.safe_load((KUBERNETES / "components/requests-per-second/adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    for name in API:
        metrics = named(monitored, "HorizontalPodAutoscaler", name)["spec"]["metrics"]
        assert [each["pods"]["metric"]["name"] for each in metrics if each["type"] == "Pods"] == [rule["name"]["as"]]


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector takes these labels."""
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", [])
    )


def test_selectors_find_exactly_their_pods(manifests: list[Manifest]) -> None:
    workloads = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in of_kind(manifests, "Deployment", "StatefulSet")
    }

    def found(selector: Manifest) -> set[str]:
        return {name for name, labels in workloads.items() if selects(selector, labels)}

    for each in of_kind(manifests, "Deployment", "StatefulSet", "PodDisruptionBudget"):
        assert found(each["spec"]["selector"]) == {each["metadata"]["name"]}
    for each in of_kind(manifests, "Service"):
        assert found({"matchLabels": each["spec"]["selector"]}) == {each["metadata"]["name"]}
    for name, pod in pods(manifests):
        for spread in pod.get("topologySpreadConstraints", []):
            assert found(spread["labelSelector"]) == {name}
    policies = {
        each["metadata"]["name"]: found(each["spec"]["podSelector"]) for each in of_kind(manifests, "NetworkPolicy")
    }
    assert policies == {
        "default-deny": {*API, "web", "redis"},
        "dns": API,
        "from-ingress-controller": {*API, "web"},
        "from-prometheus": API,
        "functions-to-redis": API,
        "redis-from-functions": {"redis"},
    }


def test_services_and_policies_name_ports_that_exist(manifests: list[Manifest]) -> None:
    ports = {name: {port["name"] for port in pod["containers"][0]["ports"]} for name, pod in pods(manifests)}
    for service in of_kind(manifests, "Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports[service["metadata"]["name"]]
    for policy in of_kind(manifests, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            assert {port["port"] for port in rule["ports"]} <= {"http", "redis"}


def test_settings_are_those_of_the_service(manifests: list[Manifest]) -> None:
    (settings,) = of_kind(manifests, "ConfigMap")
    values = settings["data"]
    assert {name.removeprefix("PLANT_").lower() for name in values} <= set(Settings.model_fields)
    read = Settings.model_validate({name.removeprefix("PLANT_").lower(): value for name, value in values.items()})
    assert read.auth == "required"
    assert read.metrics == "on"
    redis = named(manifests, "Service", "redis")
    assert read.limits_uri == f"redis://redis:{redis['spec']['ports'][0]['port']}/0"
    for name, pod in pods(manifests):
        if name in API:
            (container,) = pod["containers"]
            assert container["envFrom"][0]["configMapRef"]["name"] == settings["metadata"]["name"]
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert read.api_keys_uri == f"{mounts['keys']}/keys.json"
            # The cache of models is in /tmp.
            assert mounts["tmp"] == "/tmp"


def test_a_pod_outlives_its_last_request(manifests: list[Manifest]) -> None:
    """preStop, the 25 s that the server gives, and what a batch may take: all within the grace period."""
    for name, pod in pods(manifests):
        if name in API:
            pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
            longest = max(25, Settings.model_fields["batch_timeout_s"].default)
            assert pod["terminationGracePeriodSeconds"] >= pause + longest + 5


def test_images_are_of_this_version(manifests: list[Manifest]) -> None:
    images = {name: pod["containers"][0]["image"] for name, pod in pods(manifests)}
    assert {name: image for name, image in images.items() if name != "redis"} == {
        **{f"api-{name}": f"plant-disease/{name}:{__version__}" for name in FUNCTIONS},
        "web": f"plant-disease/web:{__version__}",
    }
    production = dict(pods(read(kustomize(KUBERNETES / "overlays/production"))))
    for name in {*API, "web"}:
        assert "@sha256:" in production[name]["containers"][0]["image"]


def test_every_route_is_reached(manifests: list[Manifest]) -> None:
    """Each address of the service leads to a function that has it, and /metrics to none."""
    (ingress,) = of_kind(manifests, "Ingress")
    (rule,) = ingress["spec"]["rules"]

    def backend(path: str) -> str:
        matching = [
            each
            for each in rule["http"]["paths"]
            if path == each["path"]
            or (each["pathType"] == "Prefix" and path.startswith(each["path"].rstrip("/") + "/"))
        ]
        return str(max(matching, key=lambda each: len(each["path"]))["backend"]["service"]["name"])

    app = create_app(predict, batch, explain, settings=Settings(auth="off"))
    paths = {str(route.path) for route in app.routes if isinstance(route, APIRoute)} | {"/docs", "/openapi.json"}
    for path in paths:
        name = path.strip("/")
        expected = f"api-{name}" if name in FUNCTIONS else "api-predict"
        assert backend(path) == expected, path
        if name not in {"docs", "openapi.json"}:
            assert backend(f"/v1{path}") == expected, path
    for path in ("/", "/index.html", "/app.js", "/metrics", "/v1/metrics"):
        assert backend(path) == "web"


def test_streams_are_not_held_back_and_photos_fit(manifests: list[Manifest]) -> None:
    (ingress,) = of_kind(manifests, "Ingress")
    annotations = ingress["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    assert annotations["nginx.org/proxy-buffering"] == "False"
    size = f"{Settings.model_fields['max_body_bytes'].default // 2**20}m"
    assert annotations["nginx.ingress.kubernetes.io/proxy-body-size"] == size
    assert annotations["nginx.org/client-max-body-size"] == size
    assert {host for entry in ingress["spec"]["tls"] for host in entry["hosts"]} == {
        rule["host"] for rule in ingress["spec"]["rules"]
    }


def test_the_function_label_is_that_of_compose(with_component: Callable[[str], list[Manifest]]) -> None:
    """Rules and dashboards ask for it; here it comes from the label of the service."""
    manifests = with_component("monitoring")
    (monitor,) = of_kind(manifests, "ServiceMonitor")
    (relabeling,) = monitor["spec"]["endpoints"][0]["relabelings"]
    assert relabeling["targetLabel"] == "function"
    services = [
        each
        for each in of_kind(manifests, "Service")
        if selects(monitor["spec"]["selector"], each["metadata"]["labels"])
    ]
    assert {each["metadata"]["labels"]["app.kubernetes.io/component"] for each in services} == set(FUNCTIONS)
    assert all(each["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "plant-disease" for each in services)


def test_a_pod_starts_with_these_settings(manifests: list[Manifest], tmp_path: Path) -> None:
    """The service with the settings of the manifest and without secrets: probes answer, and nobody gets in."""
    (settings,) = of_kind(manifests, "ConfigMap")
    container = dict(pods(manifests))["api-predict"]["containers"][0]
    paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    values = settings["data"] | {"PLANT_LIMITS_URI": "memory://"}
    with processes.uvicorn(tmp_path, "predict", **values, PLANT_AUTH="required") as process:
        client = httpx.Client(base_url=process.url, trust_env=False, timeout=30)
        assert client.get(paths["startup"]).status_code == client.get(paths["liveness"]).status_code == 200
        processes.wait_for(lambda: client.get(paths["readiness"]).status_code == 200, 60)
        assert client.post("/predict", content=b"-").status_code == 401
        assert "plant_model_loaded 1.0" in client.get("/metrics").text
