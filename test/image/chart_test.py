#!/usr/bin/env python3
"""The Helm chart, rendered by helm and compared with what kubectl or kustomize renders of manifests/base.

    chart_test.py SOURCE_DIR PROGRAM

PROGRAM, kubenatd, says whether it understands the configurations. Skipped where helm, and kubectl or kustomize, are not
in PATH.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HELM = shutil.which("helm")
KUSTOMIZE = [shutil.which("kustomize"), "build"] if shutil.which("kustomize") else [shutil.which("kubectl"), "kustomize"]
if not HELM or not KUSTOMIZE[0]:
    print("SKIPPED: " + ("helm" if not HELM else "neither kubectl nor kustomize") + " is not installed")
    sys.exit(0)
PROGRAM = sys.argv.pop(2)

import manifests_test  # noqa: E402  # takes the source's folder from the command line
from manifests_test import MANIFESTS, SOURCE, TEXT, METADATA, SCHEMAS, find, mistakes, yaml  # noqa: E402

CHART = MANIFESTS / "chart"


def helm(*words):
    return subprocess.run([HELM, *words], capture_output=True, text=True, timeout=60, check=False)


def render(*settings, namespace="kube-system"):
    """What helm makes of the chart with values such as {"mode": "nftables"}."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["template", "kubenatd", str(CHART), "--namespace", namespace]
        for i, values in enumerate(settings):
            file = pathlib.Path(folder) / f"{i}.yaml"
            file.write_text(json.dumps(values))
            words += ["--values", str(file)]
        result = helm(*words)
    if result.returncode != 0:
        raise ValueError(result.stderr)
    return [document for document in yaml.safe_load_all(result.stdout) if document]


def by_name(documents):
    """The configuration is compared by what it says: the kustomization's has comments."""
    named = {(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]): each for each in documents}
    for each in documents:
        if each["kind"] == "ConfigMap" and "config.conf" in each["data"]:
            each["data"]["config.conf"] = list(yaml.safe_load_all(each["data"]["config.conf"]))
    return named


def config(documents):
    return next(each for each in documents if each["kind"] == "ConfigMap" and "config.conf" in each["data"])["data"]


def container(documents):
    return find(documents, "DaemonSet")["spec"]["template"]["spec"]["containers"][0]


class Chart(unittest.TestCase):
    maxDiff = None

    def test_the_default_is_the_kustomization(self):
        result = subprocess.run([*KUSTOMIZE, MANIFESTS / "base"], capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual(by_name(render()), by_name(list(yaml.safe_load_all(result.stdout))))

    def test_the_version_is_the_projects(self):
        version = re.search(r"^project\(kubenatd VERSION ([0-9.]+)", (SOURCE / "CMakeLists.txt").read_text(), re.M)[1]
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertEqual((chart["version"], chart["appVersion"]), (version, version))

    def test_helm_lint_has_nothing_to_say(self):
        result = helm("lint", "--strict", str(CHART))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_every_value_is_in_the_schema_and_used(self):
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        schema = json.loads((CHART / "values.schema.json").read_text())
        self.assertEqual(values.keys(), schema["properties"].keys() - {"global"})
        templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
        for name, value in values.items():
            nested = value if isinstance(value, dict) and "properties" in schema["properties"][name] else {}
            if name in ("config", "settings", "resources", "updateStrategy"):
                nested = {}
            for path in [f"{name}.{key}" for key in nested] or [name]:
                self.assertIn(".Values." + path, templates)

    def understood(self, documents):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(config(documents)["config.conf"])
            file.flush()
            result = subprocess.run([PROGRAM, "check", "--config", file.name], capture_output=True, text=True,
                                    timeout=60, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def test_kubenatd_understands_what_the_values_say(self):
        documents = render({"mode": "nftables", "clusterCIDR": "10.244.0.0/16,fd00:10:244::/56", "hostPorts": "off",
                            "fastPath": ["eth0", "veth*"], "masqueradeAll": True, "nodePortAddresses": ["primary"],
                            "metricsBindAddress": "0.0.0.0:10249", "log": {"format": "json", "verbosity": 4},
                            "config": {"conntrack": {"maxPerCore": 0}, "clusterCIDR": "10.0.0.0/8"},
                            "settings": {"serviceCIDRs": ["10.96.0.0/12"]}})
        first, second = yaml.safe_load_all(config(documents)["config.conf"])
        self.assertEqual(first, {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "nftables",
            "clusterCIDR": "10.0.0.0/8", "nftables": {"masqueradeAll": True}, "nodePortAddresses": ["primary"],
            "metricsBindAddress": "0.0.0.0:10249", "logging": {"format": "json", "verbosity": 4},
            "conntrack": {"maxPerCore": 0}})
        self.assertEqual(second, {"apiVersion": "kubenatd.io/v1alpha1", "kind": "KubenatdConfiguration",
                                  "hostPorts": "off", "fastPath": ["eth0", "veth*"], "serviceCIDRs": ["10.96.0.0/12"]})
        self.understood(documents)
        self.understood(render())

    def test_the_api_servers_address_restarts_the_pods(self):
        documents = render({"apiServer": {"host": "192.0.2.1", "port": 7445}})
        self.assertEqual(config(documents)["apiServerHost"], "192.0.2.1")
        self.assertEqual(config(documents)["apiServerPort"], "7445")
        template = find(documents, "DaemonSet")["spec"]["template"]
        self.assertEqual(template["metadata"]["annotations"], {"kubenatd.io/api-server": "192.0.2.1:7445"})
        self.assertEqual(config(render({"apiServer": {"host": "api.example.org"}}))["apiServerPort"], "6443")

    def test_what_shapes_the_pods(self):
        documents = render({
            "image": {"repository": "registry.example/kubenatd", "tag": "1", "pullPolicy": "Always"},
            "imagePullSecrets": [{"name": "pull"}], "resources": {"requests": {"cpu": "1"}, "limits": None},
            "tolerations": [], "nodeSelector": {"kubenatd": "yes"}, "priorityClassName": "",
            "updateStrategy": {"type": "OnDelete"}})
        spec = find(documents, "DaemonSet")["spec"]
        pod = spec["template"]["spec"]
        self.assertEqual(spec["updateStrategy"], {"type": "OnDelete"})
        self.assertEqual(container(documents)["image"], "registry.example/kubenatd:1")
        self.assertEqual(container(documents)["imagePullPolicy"], "Always")
        self.assertEqual(container(documents)["resources"], {"requests": {"cpu": "1", "memory": "48Mi"}})
        self.assertEqual(pod["imagePullSecrets"], [{"name": "pull"}])
        self.assertEqual(pod["nodeSelector"], {"kubernetes.io/os": "linux", "kubenatd": "yes"})
        self.assertNotIn("tolerations", pod)
        self.assertNotIn("priorityClassName", pod)

    def test_monitoring_is_that_of_the_folder(self):
        documents = render({"monitoring": {"alerts": True, "dashboard": True, "podMonitor": True},
                            "metricsBindAddress": "[::]:9999"}, namespace="elsewhere")
        rule = find(documents, "PrometheusRule")
        self.assertEqual(rule["spec"], find(manifests_test.objects("monitoring"), "PrometheusRule")["spec"])
        dashboard = next(each for each in documents if each["metadata"]["name"] == "kubenatd-dashboard")
        self.assertEqual(json.loads(dashboard["data"]["kubenatd.json"]),
                         json.loads((MANIFESTS / "monitoring" / "dashboard.json").read_text()))
        self.assertEqual(container(documents)["ports"], [{"name": "metrics", "containerPort": 9999, "protocol": "TCP"}])
        endpoints = find(documents, "PodMonitor")["spec"]["podMetricsEndpoints"]
        self.assertEqual([each["port"] for each in endpoints], ["metrics"])
        for document in documents:
            if not document["kind"].startswith("ClusterRole"):
                self.assertEqual(document["metadata"]["namespace"], "elsewhere")
        self.assertEqual(find(documents, "ClusterRoleBinding")["subjects"][0]["namespace"], "elsewhere")

    def test_a_pod_monitor_needs_an_address_that_prometheus_reaches(self):
        for address in ("", "127.0.0.1:10249", "[::1]:10249", "localhost:10249"):
            with self.assertRaisesRegex(ValueError, "metricsBindAddress"):
                render({"monitoring": {"podMonitor": True}, "metricsBindAddress": address})

    def test_wrong_values_are_refused(self):
        for wrong in ({"mode": "ipvs"}, {"hostports": "auto"}, {"hostPorts": True}, {"clusterCIDR": "10.244.0.0"},
                      {"apiServer": {"port": 70000}}, {"apiServer": {"url": "x"}}, {"log": {"format": "xml"}},
                      {"log": {"verbosity": -1}}, {"apiServer": {"host": "https://api"}}, {"image": {"repository": ""}},
                      {"metricsBindAddress": "127.0.0.1"}, {"updateStrategy": {"type": "Recreate"}},
                      {"config": {"kind": "Pod"}}, {"tolerations": {"operator": "Exists"}}):
            with self.subTest(wrong=wrong), self.assertRaises(ValueError):
                render(wrong)

    def test_every_field_is_one_of_the_api(self):
        for document in render():
            schema = SCHEMAS[document["apiVersion"], document["kind"]]
            self.assertEqual(mistakes(document, {"apiVersion": TEXT, "kind": TEXT, "metadata": METADATA, **schema},
                                      document["kind"]), [])

    def test_the_notes_say_how_to_look_and_how_to_go_back(self):
        # helm shows them only of an installation, which takes a cluster; so they are rendered as a field of a document.
        for mode in ("iptables", "nftables"):
            with tempfile.TemporaryDirectory() as folder:
                chart = pathlib.Path(folder) / "chart"
                shutil.copytree(CHART, chart)
                notes = chart / "templates" / "NOTES.txt"
                notes.rename(notes.with_name("notes.yaml"))
                notes = notes.with_name("notes.yaml")
                notes.write_text('{{ define "notes" }}' + notes.read_text() + '{{ end }}\nkind: Notes\n'
                                 'text: |\n  {{- include "notes" . | nindent 2 }}\n')
                result = helm("template", "kubenatd", str(chart), "--namespace", "kube-system", "--set", f"mode={mode}")
            self.assertEqual(result.returncode, 0, result.stderr)
            notes = next(each for each in yaml.safe_load_all(result.stdout) if each and each["kind"] == "Notes")["text"]
            for text in ("rollout status", "apiServer.host is not set", "clusterCIDR is not set", "helm uninstall"):
                self.assertIn(text, notes)
            self.assertEqual("kubenatd cleanup" in notes, mode == "nftables")


if __name__ == "__main__":
    unittest.main()
