"""What no tool checks: relations between deployment files, and between them and the service.

    python deploy/check.py MANIFESTS DIRECTORY

MANIFESTS is the rendered chart with everything turned on. Writes the queries of the dashboard as
rules to DIRECTORY/dashboard.yml, for promtool.
"""

import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Seconds that the service may take after the drain: requests in flight, and the copy on disk.
STOP_SECONDS = 50


def expect(condition, message):
    if not condition:
        sys.exit(f"deploy/check.py: {message}")


def metrics_of_the_service():
    """Names in the source, with the series that a histogram has."""
    text = "".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
    names = set(re.findall(r'"(kampanje_[a-z_]+)"', text))
    histograms = {name for name in names if name.endswith("_seconds")}
    return names | {name + end for name in histograms for end in ("_bucket", "_count", "_sum")}


def settings_of_the_service():
    text = (ROOT / "src/config.rs").read_text()
    return set(re.findall(r'env = "([A-Z_]+)"', text))


def check_manifests(documents):
    by_kind = {document["kind"]: document for document in documents}
    deployment, service = by_kind["Deployment"], by_kind["Service"]
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"].items()
    for kind, selector in (
        ("Deployment", deployment["spec"]["selector"]["matchLabels"]),
        ("Service", service["spec"]["selector"]),
        ("PodDisruptionBudget", by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]),
        ("NetworkPolicy", by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]),
    ):
        expect(selector.items() <= labels, f"{kind} does not select the pods")
    monitor = by_kind["ServiceMonitor"]["spec"]
    expect(
        monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items(),
        "ServiceMonitor does not select the service",
    )
    ports = {port["name"] for port in service["spec"]["ports"]}
    expect({endpoint["port"] for endpoint in monitor["endpoints"]} <= ports, "no such port")
    expect(
        service["metadata"]["labels"][monitor["jobLabel"]] == "kampanje",
        "the alerts select another job",
    )
    for owner in deployment, by_kind["Job"]:
        (container,) = owner["spec"]["template"]["spec"]["containers"]
        used = {variable["name"] for variable in container["env"]}
        unknown = used - settings_of_the_service()
        expect(not unknown, f"the service has no setting {unknown}")
        commands = (ROOT / "src/config.rs").read_text()
        command = container["args"][0].capitalize()
        expect(re.search(rf"^    {command}\(", commands, re.M), f"no command {command}")
    (container,) = pod["spec"]["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    grace = pod["spec"]["terminationGracePeriodSeconds"]
    drain = int(environment["KAMPANJE_DRAIN_SECONDS"])
    expect(grace >= drain + STOP_SECONDS, f"{grace} s do not suffice after a drain of {drain} s")
    readiness = container["readinessProbe"]
    noticed = readiness["periodSeconds"] * readiness["failureThreshold"]
    expect(drain > noticed, f"a drain of {drain} s ends before the probe fails ({noticed} s)")


def check_unit():
    unit = (ROOT / "deploy/systemd/kampanje.service").read_text()
    settings = dict(re.findall(r"^Environment=([A-Z_]+)=(.*)$", unit, re.M))
    unknown = settings.keys() - settings_of_the_service()
    expect(not unknown, f"the service has no setting {unknown}")
    stop = int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.M)[1])
    drain = int(settings["KAMPANJE_DRAIN_SECONDS"])
    expect(stop >= drain + STOP_SECONDS, f"{stop} s do not suffice after a drain of {drain} s")


def check_queries(directory):
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    dashboard = json.loads((ROOT / "deploy/grafana/kampanje.json").read_text())
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]
    queries = [rule["expr"] for rule in rules] + [target["expr"] for target in targets]
    variables = [variable["query"] for variable in dashboard["templating"]["list"]]
    used = set(re.findall(r"\bkampanje_[a-z_]+", json.dumps([queries, variables])))
    unknown = used - metrics_of_the_service()
    expect(not unknown, f"the service has no metric {unknown}")
    recorded = {rule["record"] for rule in rules if "record" in rule}
    unknown = set(re.findall(r"\bkampanje:[a-z_]+:[a-z0-9_]+", json.dumps(queries))) - recorded
    expect(not unknown, f"nothing records {unknown}")
    alerts = {rule["alert"] for rule in rules if "alert" in rule}
    page = (ROOT / "docs/operations/monitoring.md").read_text()
    described = set(re.findall(r"^\| `(Kampanje\w+)` \|", page, re.M))
    expect(alerts == described, f"alerts and monitoring.md differ: {alerts ^ described}")
    tests = "".join(path.read_text() for path in (ROOT / "deploy/prometheus").glob("*.test.yml"))
    for alert in alerts:
        fires = rf"alertname: {alert}\n\s+eval_time: \w+\n\s+exp_alerts:"
        expect(re.search(fires, tests), f"no test in which {alert} fires")
    checked = [
        {"record": "dashboard:query", "expr": re.sub(r"\$__rate_interval", "5m", target["expr"])}
        for target in targets
    ]
    for number, rule in enumerate(checked):
        rule["record"] += f"_{number}"
    (directory / "dashboard.yml").write_text(
        json.dumps({"groups": [{"name": "dashboard", "rules": checked}]})
    )
    print(f"queries: {len(queries)} use {len(used)} metrics of the service")


manifests, work = map(pathlib.Path, sys.argv[1:])
check_manifests([document for document in yaml.safe_load_all(manifests.read_text()) if document])
check_unit()
check_queries(work)
