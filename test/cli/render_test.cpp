#include <catch2/catch.hpp>
#include <cstdio>

#include "test/cli/cli_support.h"

/// What is wanted, printed without rights.
namespace kubenatd::test {
namespace {

TEST_CASE("render prints both families without rights") {
  const Manifests manifests;
  manifests.put(web_service(), ready({kPodA, kPodA6}));
  const auto four = render_as_nobody(manifests, {"--family", "ipv4"});
  INFO(four.describe());
  CHECK(four.status == 0);
  CHECK(four.out.find("*nat\n") != std::string::npos);
  CHECK(four.out.find("*filter\n") != std::string::npos);
  CHECK(four.out.find("COMMIT\n") != std::string::npos);
  CHECK(
      four.out.find("-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment \"demo/web:http cluster IP\" -m tcp "
                    "--dport 80 -j KUBE-SVC-") != std::string::npos);
  CHECK(four.out.find("fd00:") == std::string::npos);

  const auto six = render_as_nobody(manifests, {"--family", "ipv6"});
  INFO(six.describe());
  CHECK(six.status == 0);
  CHECK(six.out.find("-A KUBE-SERVICES -d fd00:10:96::10/128 -p tcp") != std::string::npos);
  CHECK(six.out.find("10.96.0.10") == std::string::npos);
}

TEST_CASE("render reads several folders, lists, and files at any depth") {
  const Manifests one, two;
  one.put(web_service(), ready({kPodA}));
  two.write("deep/er/list.json",
            R"({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "listed", "namespace": "demo"},
                "spec": {"clusterIP": "10.96.0.20", "ports": [{"port": 80}]}}]})");
  two.write("multi.yml",
            "---\n---\napiVersion: v1\nkind: Service\nmetadata: {name: multi, namespace: demo}\n"
            "spec: {clusterIP: 10.96.0.21, ports: [{port: 80}]}\n...\n");
  two.write("notes.txt",
            "apiVersion: v1\nkind: Service\nmetadata: {name: text, namespace: demo}\n"
            "spec: {clusterIP: 10.96.0.22, ports: [{port: 80}]}\n");
  const auto result = render_as_nobody(one, {"--manifests", two.path(), "--family", "ipv4"});
  INFO(result.describe());
  CHECK(result.status == 0);
  CHECK(result.out.find("demo/web:http cluster IP") != std::string::npos);
  CHECK(result.out.find("demo/listed has no endpoints") != std::string::npos);
  CHECK(result.out.find("demo/multi has no endpoints") != std::string::npos);
  CHECK(result.out.find("demo/text") == std::string::npos);
}

TEST_CASE("Kinds that are not used are passed over with a line") {
  const Manifests manifests;
  manifests.put(web_service(), ready({kPodA}));
  manifests.write("other.yaml",
                  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: demo}\ndata: {a: b}\n---\n"
                  "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: demo}\nspec: {}\n");
  manifests.write("config.yaml", "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n");
  const auto result = render_as_nobody(manifests, {"--family", "ipv4"});
  INFO(result.describe());
  CHECK(result.status == 0);
  CHECK(result.out.find("demo/web:http cluster IP") != std::string::npos);
  for (const auto* kind : {"ConfigMap", "Deployment", "KubeProxyConfiguration"}) {
    INFO(kind);
    CHECK(result.err.find(kind) != std::string::npos);
    CHECK(result.out.find(kind) == std::string::npos);
  }
}

TEST_CASE("A configuration that is wrong is refused by file and field") {
  const Manifests manifests;
  manifests.write("empty.txt", "");
  const TempFolder folder;
  const auto bad = folder.write("bad.yaml",
                                "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
                                "clusterCIDR: 10.244.0.0/33\n");
  const auto result = render_as_nobody(manifests, {"--config", bad.string()});
  INFO(result.describe());
  CHECK(result.status != 0);
  CHECK(result.err.find("bad.yaml") != std::string::npos);
  CHECK(result.err.find("clusterCIDR") != std::string::npos);
  const auto missing = render_as_nobody(manifests, {"--config", (folder.path() / "absent.yaml").string()});
  INFO(missing.describe());
  CHECK(missing.status != 0);
  CHECK(missing.err.find("absent.yaml") != std::string::npos);
}

TEST_CASE("The flag --hostname-override wins over the configuration and is made lower case") {
  const Manifests manifests;
  auto service = web_service();
  service.internal_policy = "Local";
  manifests.put(service, ready({kPodA, kPodC}));
  const TempFolder folder;
  const auto config = folder.write("config.yaml",
                                   "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
                                   "hostnameOverride: node-2\n");
  const auto binary = install_binary(folder);
  const auto local_to = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all{binary,     "render",        "--manifests", manifests.path(),
                                 "--config", config.string(), "--family",    "ipv4"};
    all.insert(all.end(), more.begin(), more.end());
    const auto result = run(all);
    INFO(result.describe());
    CHECK(result.ok());
    for (const auto& line : lines_of(result.out)) {
      if (!line.starts_with("-A KUBE-SVL-")) continue;
      if (line.find(std::string("-> ") + kPodA) != std::string::npos) return std::string("node-1");
      if (line.find(std::string("-> ") + kPodC) != std::string::npos) return std::string("node-2");
    }
    return std::string("none");
  };
  CHECK(local_to({}) == "node-2");
  CHECK(local_to({"--hostname-override", " Node-1 "}) == "node-1");
}

}  // namespace
}  // namespace kubenatd::test
