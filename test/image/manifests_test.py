#!/usr/bin/env python3
"""The cluster's manifests, checked without a cluster.

Every field has to be one that the API has, references have to lead somewhere, the container's rights are those that the
image's test runs with, and metrics in alerts and the dashboard are ones that kubenatd tells. With kubectl at hand the
kustomizations are also rendered.

    manifests_test.py SOURCE_DIR
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

try:
    import yaml
except ImportError:
    print("SKIPPED: python3-yaml is not installed")
    sys.exit(0)

SOURCE = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else __file__ + "/../../..").resolve()
MANIFESTS = SOURCE / "manifests"

# The part of the API's schema that the manifests use: a mapping names the fields that may be there, a list holds the
# schema of each element, a type is a value of that type, "map" is any mapping of texts to texts.
TEXT, NUMBER, TRUTH, MAP = str, int, bool, "map"
METADATA = {"name": TEXT, "namespace": TEXT, "labels": MAP, "annotations": MAP}
PROBE = {
    "httpGet": {"path": TEXT, "port": NUMBER, "host": TEXT, "scheme": TEXT},
    "initialDelaySeconds": NUMBER, "periodSeconds": NUMBER, "timeoutSeconds": NUMBER,
    "successThreshold": NUMBER, "failureThreshold": NUMBER,
}
ENV = {
    "name": TEXT, "value": TEXT,
    "valueFrom": {"fieldRef": {"apiVersion": TEXT, "fieldPath": TEXT},
                  "configMapKeyRef": {"name": TEXT, "key": TEXT, "optional": TRUTH}},
}
CONTAINER = {
    "name": TEXT, "image": TEXT, "imagePullPolicy": TEXT, "args": [TEXT], "command": [TEXT], "env": [ENV],
    "securityContext": {
        "runAsUser": NUMBER, "privileged": TRUTH, "allowPrivilegeEscalation": TRUTH, "readOnlyRootFilesystem": TRUTH,
        "capabilities": {"add": [TEXT], "drop": [TEXT]}, "seccompProfile": {"type": TEXT},
    },
    "startupProbe": PROBE, "livenessProbe": PROBE, "readinessProbe": PROBE,
    "resources": {"requests": MAP, "limits": MAP},
    "volumeMounts": [{"name": TEXT, "mountPath": TEXT, "readOnly": TRUTH}],
}
POD_SPEC = {
    "serviceAccountName": TEXT, "hostNetwork": TRUTH, "dnsPolicy": TEXT, "priorityClassName": TEXT,
    "nodeSelector": MAP, "tolerations": [{"key": TEXT, "operator": TEXT, "effect": TEXT}],
    "terminationGracePeriodSeconds": NUMBER, "containers": [CONTAINER],
    "volumes": [{"name": TEXT, "configMap": {"name": TEXT}, "hostPath": {"path": TEXT, "type": TEXT}}],
}
RULE = {"alert": TEXT, "expr": TEXT, "for": TEXT, "labels": MAP, "annotations": MAP}
SCHEMAS = {
    ("v1", "ServiceAccount"): {},
    ("v1", "ConfigMap"): {"data": MAP},
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): {
        "rules": [{"apiGroups": [TEXT], "resources": [TEXT], "verbs": [TEXT]}]},
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): {
        "roleRef": {"apiGroup": TEXT, "kind": TEXT, "name": TEXT},
        "subjects": [{"kind": TEXT, "name": TEXT, "namespace": TEXT}]},
    ("apps/v1", "DaemonSet"): {"spec": {
        "selector": {"matchLabels": MAP},
        "updateStrategy": {"type": TEXT, "rollingUpdate": {"maxUnavailable": NUMBER}},
        "template": {"metadata": METADATA, "spec": POD_SPEC}}},
    ("v1", "Service"): {"spec": {
        "clusterIP": TEXT, "selector": MAP,
        "ports": [{"name": TEXT, "port": NUMBER, "targetPort": NUMBER, "protocol": TEXT}]}},
    ("monitoring.coreos.com/v1", "ServiceMonitor"): {"spec": {
        "selector": {"matchLabels": MAP},
        "endpoints": [{"port": TEXT, "interval": TEXT,
                       "relabelings": [{"action": TEXT, "sourceLabels": [TEXT], "targetLabel": TEXT,
                                        "replacement": TEXT}]}]}},
    ("monitoring.coreos.com/v1", "PrometheusRule"): {"spec": {"groups": [{"name": TEXT, "rules": [RULE]}]}},
}


def mistakes(value, schema, path):
    """What in `value` does not fit, one line each."""
    if schema == MAP:
        schema_fits = isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
        return [] if schema_fits else [f"{path}: is not a mapping of texts"]
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return [f"{path}: is not a group of fields"]
        found = [f"{path}.{key}: is not a known field" for key in value if key not in schema]
        for key in value.keys() & schema.keys():
            found += mistakes(value[key], schema[key], f"{path}.{key}")
        return found
    if isinstance(schema, list):
        if not isinstance(value, list) or not value:
            return [f"{path}: is not a list of something"]
        return [line for i, each in enumerate(value) for line in mistakes(each, schema[0], f"{path}[{i}]")]
    return [] if type(value) is schema else [f"{path}: {value!r} is not {schema.__name__}"]


def load(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def kustomization(folder):
    return load(MANIFESTS / folder / "kustomization.yaml")[0]


def objects(folder):
    return [each for name in kustomization(folder).get("resources", []) if name.endswith(".yaml")
            for each in load(MANIFESTS / folder / name)]


def find(documents, kind):
    return next(document for document in documents if document["kind"] == kind)


def metric_names():
    names = set()
    for path in (SOURCE / "agent").rglob("*.cpp"):
        names |= set(re.findall(r'"((?:kubeproxy|kubenatd|process)_[a-z_]+)"', path.read_text()))
    return names


class Base(unittest.TestCase):
    def setUp(self):
        self.objects = objects("base")
        self.set = find(self.objects, "DaemonSet")
        self.pod = self.set["spec"]["template"]["spec"]
        self.container = self.pod["containers"][0]

    def test_every_field_is_one_of_the_api(self):
        documents = self.objects + objects("monitoring") + load(MANIFESTS / "kind" / "configmap.yaml")
        for document in documents:
            kind = (document["apiVersion"], document["kind"])
            self.assertIn(kind, SCHEMAS)
            schema = {"apiVersion": TEXT, "kind": TEXT, "metadata": METADATA, **SCHEMAS[kind]}
            self.assertEqual(mistakes(document, schema, "/".join(kind)), [])

    def test_a_wrong_field_is_found(self):
        self.container["securityContext"]["capability"] = {}
        self.pod["hostNetwork"] = "true"
        schema = {"apiVersion": TEXT, "kind": TEXT, "metadata": METADATA, **SCHEMAS["apps/v1", "DaemonSet"]}
        self.assertEqual(len(mistakes(self.set, schema, "")), 2)

    def test_references_lead_somewhere(self):
        account, config = find(self.objects, "ServiceAccount"), find(self.objects, "ConfigMap")
        role, binding = find(self.objects, "ClusterRole"), find(self.objects, "ClusterRoleBinding")
        self.assertEqual(self.pod["serviceAccountName"], account["metadata"]["name"])
        self.assertEqual(binding["roleRef"]["name"], role["metadata"]["name"])
        self.assertEqual(binding["subjects"], [{"kind": "ServiceAccount", "name": account["metadata"]["name"],
                                                "namespace": kustomization("base")["namespace"]}])
        labels = self.set["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(self.set["spec"]["selector"]["matchLabels"].items(), labels.items())
        volumes = {volume["name"]: volume for volume in self.pod["volumes"]}
        self.assertEqual({mount["name"] for mount in self.container["volumeMounts"]}, set(volumes))
        for volume in volumes.values():
            if "configMap" in volume:
                self.assertEqual(volume["configMap"]["name"], config["metadata"]["name"])
        mounts = {mount["name"]: mount["mountPath"] for mount in self.container["volumeMounts"]}
        file = next(arg for arg in self.container["args"] if arg.startswith("--config=")).split("=")[1]
        self.assertEqual(file, mounts["config"] + "/config.conf")
        self.assertIn("config.conf", config["data"])
        names = {variable["name"] for variable in self.container["env"]}
        for name in re.findall(r"\$\((\w+)\)", " ".join(self.container["args"])):
            self.assertIn(name, names)
        images = {image["name"]: image for image in kustomization("base")["images"]}
        version = re.search(r"^project\(kubenatd VERSION ([0-9.]+)", (SOURCE / "CMakeLists.txt").read_text(), re.M)[1]
        self.assertEqual(images[self.container["image"]]["newTag"], version)

    def test_the_rights_are_those_that_the_image_is_tested_with(self):
        context = self.container["securityContext"]
        self.assertEqual(context["capabilities"], {"drop": ["ALL"], "add": ["NET_ADMIN"]})
        self.assertFalse(context["privileged"] or context["allowPrivilegeEscalation"])
        self.assertTrue(context["readOnlyRootFilesystem"])
        self.assertEqual(context["runAsUser"], 0)
        self.assertTrue(self.pod["hostNetwork"])
        self.assertNotIn("hostPID", self.pod)
        entered = (SOURCE / "test/image/enter/main.cpp").read_text()
        self.assertIn("keep_only(CAP_NET_ADMIN)", entered)
        sysctls = re.search(r'kMountedSysctls = "([^"]+)"', (SOURCE / "agent/base/sysctl.h").read_text())[1]
        for mount in self.container["volumeMounts"]:
            self.assertIn('"' + mount["mountPath"] + '"', entered)
        self.assertIn(sysctls + "/net", [mount["mountPath"] for mount in self.container["volumeMounts"]])
        writable = [volume["hostPath"]["path"] for volume in self.pod["volumes"] if "hostPath" in volume]
        self.assertEqual(writable, ["/proc/sys/net"])

    def test_every_linux_node_gets_a_pod_whatever_its_architecture(self):
        self.assertEqual(self.pod["nodeSelector"], {"kubernetes.io/os": "linux"})
        self.assertNotIn("affinity", self.pod)

    def test_the_role_only_reads_but_for_events(self):
        for rule in find(self.objects, "ClusterRole")["rules"]:
            allowed = {"create", "patch", "update"} if rule["resources"] == ["events"] else {"get", "list", "watch"}
            self.assertLessEqual(set(rule["verbs"]), allowed)
            self.assertNotIn("*", rule["resources"] + rule["apiGroups"])
            self.assertNotIn("secrets", rule["resources"])

    def test_probes_ask_the_health_port(self):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            self.assertEqual(self.container[probe]["httpGet"], {"path": "/livez", "port": 10256})


class Kind(unittest.TestCase):
    def test_the_cluster_has_no_kube_proxy(self):
        cluster = load(MANIFESTS / "kind" / "cluster.yaml")[0]
        self.assertEqual(cluster["networking"]["kubeProxyMode"], "none")

    def test_the_overlay_changes_the_config_map_of_the_base(self):
        overlay = kustomization("kind")
        self.assertEqual(overlay["resources"], ["../base"])
        patch = load(MANIFESTS / "kind" / overlay["patches"][0]["path"])[0]
        self.assertEqual(patch["metadata"]["name"], find(objects("base"), "ConfigMap")["metadata"]["name"])
        keys = {variable["valueFrom"]["configMapKeyRef"]["key"] for variable in
                find(objects("base"), "DaemonSet")["spec"]["template"]["spec"]["containers"][0]["env"]
                if "configMapKeyRef" in variable["valueFrom"]}
        self.assertEqual(keys, patch["data"].keys() - {"config.conf"})


class Monitoring(unittest.TestCase):
    def setUp(self):
        self.known = metric_names()
        if not any(name.startswith("kubeproxy_") for name in self.known):
            self.skipTest("this tree tells no metrics")

    def check(self, expression):
        for name in re.findall(r"\b(?:kubeproxy|kubenatd|process)_[a-z_]+", expression):
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            self.assertTrue(name in self.known or base in self.known, f"nothing tells {name}")
        self.assertEqual(expression.count("("), expression.count(")"))

    def test_alerts_are_about_metrics_that_are_told(self):
        for group in find(objects("monitoring"), "PrometheusRule")["spec"]["groups"]:
            names = [rule["alert"] for rule in group["rules"]]
            self.assertEqual(len(names), len(set(names)))
            for rule in group["rules"]:
                self.check(rule["expr"])
                self.assertIn(rule["labels"]["severity"], ("critical", "warning", "info"))
                self.assertIn("summary", rule["annotations"])

    def test_the_monitor_finds_the_pods_and_names_the_job_as_kube_proxys(self):
        monitored = objects("monitoring")
        service, monitor = find(monitored, "Service"), find(monitored, "ServiceMonitor")
        pod_labels = find(objects("base"), "DaemonSet")["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(service["spec"]["selector"].items(), pod_labels.items())
        self.assertLessEqual(monitor["spec"]["selector"]["matchLabels"].items(), service["metadata"]["labels"].items())
        endpoint = monitor["spec"]["endpoints"][0]
        self.assertEqual([port["port"] for port in service["spec"]["ports"] if port["name"] == endpoint["port"]], [10249])
        labels = {rule["targetLabel"]: rule.get("replacement") for rule in endpoint["relabelings"]}
        self.assertEqual(labels["job"], "kube-proxy")

    def test_the_dashboard_shows_metrics_that_are_told(self):
        dashboard = json.loads((MANIFESTS / "monitoring" / "dashboard.json").read_text())
        panels = dashboard["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        for panel in panels:
            self.assertLessEqual(panel["gridPos"]["x"] + panel["gridPos"]["w"], 24)
            self.assertEqual(panel["type"] == "row", "targets" not in panel)
            for target in panel.get("targets", []):
                self.check(target["expr"])


@unittest.skipUnless(shutil.which("kubectl"), "kubectl is not installed")
class Rendered(unittest.TestCase):
    def test_the_kustomizations_render(self):
        for folder in ("base", "kind", "monitoring"):
            result = subprocess.run(["kubectl", "kustomize", MANIFESTS / folder], capture_output=True, text=True,
                                    timeout=60, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stderr, "")
            documents = list(yaml.safe_load_all(result.stdout))
            for document in documents:
                if not document["kind"].startswith("ClusterRole"):
                    self.assertEqual(document["metadata"]["namespace"], "kube-system")
            if folder == "kind":
                self.assertIn("kind-control-plane", find(documents, "ConfigMap")["data"]["apiServerHost"])


if __name__ == "__main__":
    unittest.main()
