#include <nlohmann/json.hpp>

#include "agent/explain/ingress_match.h"
#include "test/unit/explain/explain_support.h"

namespace kubenatd::agent::test {
namespace {

const std::string kClass =
    "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: nginx}\nspec: {controller: "
    "k8s.io/ingress-nginx}\n";

/// The controller: a NodePort Service 31290 with one pod.
const std::string kController =
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: controller, namespace: ingress}\nspec:\n  type: NodePort\n"
    "  selector: {app: controller}\n  clusterIP: 10.96.0.10\n  ports: [{name: http, port: 80, targetPort: 80, "
    "nodePort: "
    "31290}]\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: controller-1, namespace: ingress, labels: {app: "
    "controller}}\nspec: {nodeName: node-1, containers: [{name: c, ports: [{containerPort: 80}]}]}\nstatus: {phase: "
    "Running, podIP: 10.244.1.3, conditions: [{type: Ready, status: \"True\"}]}\n";

std::string ingress(const std::string& backend, const std::string& ingress_class = "nginx") {
  return "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: shop, namespace: demo}\nspec:\n" +
         (ingress_class.empty() ? "" : "  ingressClassName: " + ingress_class + "\n") +
         "  rules:\n  - host: shop.local\n    http:\n      paths:\n      - {path: /cart, pathType: Prefix, backend: " +
         backend + "}\n";
}

const std::string kBackend = "{service: {name: web, port: {number: 80}}}";

}  // namespace

TEST_CASE("explain: a URL, from the controller's NodePort to the application") {
  const World world(kClass + kController + ingress(kBackend) + web() + pod("web-1", "web", "10.244.1.5", true));
  const explain::Answer answer = world.ask("http://shop.local:31290/cart/7?x=1");
  CHECK(problem(answer) == "none");
  REQUIRE(answer.ingress);
  CHECK(answer.ingress->ingress == "demo/shop");
  CHECK(answer.ingress->backend == "demo/web:80");
  CHECK(answer.ingress->ingress_class == "nginx");
  CHECK(answer.subject.kind == explain::Subject::Kind::kNodePort);
  CHECK(answer.subject.name == "ingress/controller:http");
  REQUIRE(answer.backend);
  CHECK(answer.backend->subject.name == "demo/web:http");
  CHECK(answer.client.code == "answer");
}

TEST_CASE("explain: what a client of a URL sees when something is wrong") {
  const std::string good = kClass + kController;
  const std::string app = web() + pod("web-1", "web", "10.244.1.5", true);
  const auto ask = [](const std::string& manifests, const std::string& url = "http://shop.local:31290/cart") {
    const explain::Answer answer = World(manifests).ask(url);
    return problem(answer).substr(0, problem(answer).find(':')) + " " + answer.client.code;
  };
  CHECK(ask(good + app) == "ingress-no-match http-404");
  CHECK(ask(good + app + ingress(kBackend), "http://shop.local:31290/cartoon") == "ingress-no-match http-404");
  CHECK(ask(good + app + ingress(kBackend), "http://other.local:31290/cart") == "ingress-no-match http-404");
  CHECK(ask(good + ingress(kBackend)) == "ingress-backend-missing http-503");
  CHECK(ask(good + app + ingress("{service: {name: web, port: {number: 81}}}")) == "ingress-backend-port http-503");
  CHECK(ask(good + app + ingress("{resource: {kind: Bucket, name: b}}")) == "ingress-without-backend http-503");
  CHECK(ask(good + app + ingress(kBackend, "")) == "ingress-without-class http-404");
  CHECK(ask(good + app + ingress(kBackend, "traefik")) == "ingress-class-unknown http-404");
  CHECK(ask(good + web() + ingress(kBackend)) == "none http-503");
  CHECK(ask(kClass + app + ingress(kBackend), "http://shop.local/cart") == "no-way-in refused");
}

TEST_CASE("Ingress: the rule that counts") {
  const std::string head =
      "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: demo}\nspec:\n"
      "  defaultBackend: {service: {name: fallback, port: {number: 80}}}\n  rules:\n";
  const auto path = [](const std::string& type, const std::string& text, const std::string& service) {
    return "{path: " + text + ", pathType: " + type + ", backend: {service: {name: " + service +
           ", port: {number: 80}}}}";
  };
  const World world(head + "  - host: a.b.local\n    http: {paths: [" + path("Prefix", "/x", "prefix") + ", " +
                    path("Exact", "/x", "exact") + ", " + path("Prefix", "/x/y/", "longer") +
                    "]}\n  - host: \"*.b.local\"\n    http: {paths: [" + path("Prefix", "/", "wild") + "]}\n");
  const auto service = [&](const std::string& host, const std::string& url_path) {
    const explain::IngressMatch match = explain::match_ingress(world.context.inventory, host, url_path);
    return match.backend == nullptr ? "" : match.backend->service;
  };
  CHECK(service("a.b.local", "/x") == "exact");
  CHECK(service("a.b.local", "/x/") == "prefix");
  CHECK(service("a.b.local", "/x/y/z") == "longer");
  CHECK(service("a.b.local", "/xy") == "fallback");
  CHECK(service("c.b.local", "/xy") == "wild");
  CHECK(service("d.c.b.local", "/") == "fallback");
  CHECK(service("b.local", "/") == "fallback");
}

TEST_CASE("questions: all forms, and what is refused") {
  const auto read = [](const std::string& text, const std::string& from = "") {
    return explain::parse_question(text, from);
  };
  CHECK(read("10.96.0.10:53/udp", "10.244.1.5")->protocol == rules::Protocol::kUdp);
  CHECK(read("[fd00::1]:80")->address->to_string() == "fd00::1");
  CHECK(read("node:31290")->form == explain::Question::Form::kNode);
  CHECK(read("localhost:8080")->address->is_loopback());
  CHECK(read("https://Shop.Local/cart?a#b")->host == "shop.local");
  CHECK(read("https://shop.local/cart?a#b")->path == "/cart");
  CHECK(read("https://shop.local")->port == 443);
  CHECK(read("http://[fd00::1]:8080")->port == 8080);
  CHECK(read("http://user@shop.local:81/")->host == "shop.local");
  for (const std::string text :
       {"", "10.96.0.10", "10.96.0.10:", "10.96.0.10:0", "10.96.0.10:65536", "10.96.0.10:53/icmp", "shop:80", "http://",
        "http://:80/", "[fd00::1:80", "[fd00::1]80", "fd00::1:80", "http://shop.local:x/", "http://shop.local:/"}) {
    INFO(text);
    CHECK_FALSE(read(text));
  }
  CHECK_FALSE(read("10.96.0.10:53", "fd00::1"));
  CHECK_FALSE(read("10.96.0.10:53", "somebody"));
  CHECK_FALSE(read(std::string(5000, 'a')));
}

TEST_CASE("explain: JSON has its contract, and text nothing that steers a terminal") {
  World world(kClass + kController + ingress(kBackend) + web() + pod("web-1", "web", "10.244.1.5", true));
  const auto json = nlohmann::json::parse(to_json(world.ask("http://shop.local:31290/cart")));
  CHECK(json.at("schema") == "kubenatd.explain/v1");
  CHECK(json.at("destination").at("kind") == "NodePort");
  CHECK(json.at("packet").at("port") == 31290);
  CHECK(json.at("ends").at(0).at("end") == "forwarded");
  CHECK(json.at("ends").at(0).at("odds") == 1.0);
  CHECK(json.at("client").at("code") == "answer");
  CHECK(json.at("ingress").at("pathType") == "Prefix");
  CHECK(json.at("backend").at("destination").at("name") == "demo/web:http");
  CHECK(json.at("findings").empty());

  world.insert_rule("-A FORWARD", "-A FORWARD -m comment --comment \"\x1b[31m\xff\" -j DROP");
  const explain::Answer answer = world.ask("10.96.0.80:80", "10.244.1.9");
  CHECK(to_text(answer, false).find('\x1b') == std::string::npos);
  CHECK(to_text(answer, true).find("\x1b[31m\xff") == std::string::npos);
  CHECK_NOTHROW(nlohmann::json::parse(to_json(answer)));
}

}  // namespace kubenatd::agent::test
