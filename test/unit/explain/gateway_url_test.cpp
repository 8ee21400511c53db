#include <nlohmann/json.hpp>

#include "test/unit/explain/explain_support.h"

namespace kubenatd::agent::test {
namespace {

const std::string kVersion = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ";
const std::string kClass =
    kVersion + "GatewayClass\nmetadata: {name: any}\nspec: {controllerName: example.org/gateway}\n";

/// A Gateway with one listener at port 80 and an address.
std::string gateway(const std::string& name = "public", const std::string& address = "203.0.113.90",
                    const std::string& listener = "") {
  return kVersion + "Gateway\nmetadata: {name: " + name +
         ", namespace: infra}\nspec: {gatewayClassName: any, listeners: [{name: http, port: 80, protocol: HTTP, "
         "allowedRoutes: {namespaces: {from: All}}" +
         listener + "}]}\nstatus: {addresses: [{value: " + address + "}]}\n";
}

/// A Service of type LoadBalancer with one pod, as controllers of Gateways have it.
std::string controller(const std::string& name = "public", const std::string& cluster_ip = "10.96.0.10",
                       const std::string& node_port = "31290", const std::string& address = "203.0.113.90",
                       const std::string& pod_address = "10.244.1.3") {
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name +
         ", namespace: infra}\nspec:\n  type: LoadBalancer\n  selector: {app: " + name +
         "}\n  clusterIP: " + cluster_ip + "\n  ports: [{name: http, port: 80, targetPort: 80, nodePort: " + node_port +
         "}]\nstatus: {loadBalancer: {ingress: [{ip: " + address +
         "}]}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name +
         "-1, namespace: infra, labels: {app: " + name +
         "}}\nspec: {nodeName: node-1, containers: [{name: c, ports: [{containerPort: 80}]}]}\nstatus: " +
         "{phase: Running, podIP: " + pod_address + ", conditions: [{type: Ready, status: \"True\"}]}\n";
}

/// HTTPRoute demo/shop for shop.local/cart.
std::string route(const std::string& backends, const std::string& more = "", const std::string& match = "",
                  const std::string& parent = "public") {
  return kVersion + "HTTPRoute\nmetadata: {name: shop, namespace: demo}\nspec:\n  parentRefs: [{name: " + parent +
         ", namespace: infra}]\n  hostnames: [shop.local]\n  rules: [{matches: [{path: {type: PathPrefix, value: "
         "/cart}" +
         match + "}], backendRefs: [" + backends + "]" + more + "}]\n";
}

/// A Service demo/NAME with a pod, that is ready or not.
std::string service(const std::string& name, const std::string& cluster_ip, const std::string& pod_address,
                    bool is_ready = true) {
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name +
         ", namespace: demo}\nspec:\n  selector: " + "{app: " + name + "}\n  clusterIP: " + cluster_ip +
         "\n  ports: [{name: http, port: 80, targetPort: http}]\n" + pod(name + "-1", name, pod_address, is_ready);
}

/// Ingress demo/old for /cart of a host, or of every one.
std::string ingress(const std::string& host = "host: shop.local, ") {
  return "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: nginx}\nspec: {controller: "
         "k8s.io/ingress-nginx}\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: old, "
         "namespace: demo}\nspec:\n  ingressClassName: nginx\n  rules: [{" +
         host +
         "http: {paths: [{path: /cart, pathType: Prefix, backend: {service: {name: web, port: {number: "
         "80}}}}]}}]\n";
}

const std::string kWeb = "{name: web, port: 80}";
const std::string kUrl = "http://shop.local:31290/cart";
const std::string kNodeUrl = "http://192.168.77.2:31290/cart";

std::string good() {
  return kClass + gateway() + controller();
}
std::string app() {
  return service("web", "10.96.0.80", "10.244.1.5");
}

/// "CODES of findings, client"; "none, answer".
std::string told(const std::string& manifests, const std::string& url = kUrl) {
  const explain::Answer answer = World(manifests).ask(url);
  std::string codes;
  for (const explain::Finding& one : answer.findings)
    if (one.code != "port-mapped")
      codes += (codes.empty() ? "" : " ") + std::string(one.weight == explain::Finding::Weight::kProblem ? "!" : "") +
               one.code;
  return (codes.empty() ? "none" : codes) + ", " + answer.client.code;
}

}  // namespace

TEST_CASE("explain: a URL by an HTTPRoute from the controller's NodePort to the application") {
  const World world(good() + route(kWeb) + app());
  const explain::Answer answer = world.ask("http://shop.local:31290/cart/7?x=1");
  CHECK(problem(answer) == "none");
  REQUIRE(answer.ingress);
  CHECK(answer.ingress->kind == "HTTPRoute");
  CHECK(answer.ingress->ingress == "demo/shop");
  CHECK(answer.ingress->gateway == "infra/public, listener http");
  CHECK(answer.ingress->ingress_class == "any");
  CHECK(answer.ingress->path_type == "PathPrefix");
  CHECK(answer.ingress->backend == "demo/web:80");
  CHECK(answer.ingress->controller == "Service infra/public:http");
  CHECK(answer.subject.kind == explain::Subject::Kind::kNodePort);
  REQUIRE(answer.backend);
  CHECK(answer.backend->subject.name == "demo/web:http");
  CHECK(answer.backend->from == "pod infra/public-1");
  CHECK(answer.client.code == "answer");
  CHECK_FALSE(has_problem(answer));

  const auto json = nlohmann::json::parse(to_json(answer));
  CHECK(json.at("ingress").at("kind") == "HTTPRoute");
  CHECK(json.at("ingress").at("gateway") == "infra/public, listener http");
  const std::string text = to_text(answer, false);
  CHECK_THAT(text, Catch::Contains("HTTPRoute   demo/shop  shop.local/cart (PathPrefix), class any, to Service "
                                   "demo/web:80\nGateway     infra/public, listener http\n"));
  CHECK(text.find("Ingress") == std::string::npos);
}

TEST_CASE("explain: what a client of a Gateway sees when something is wrong") {
  const std::string to_web = route(kWeb);
  CHECK(told(good() + app() + to_web) == "none, answer");
  CHECK(told(gateway() + controller() + app() + to_web) == "!gateway-class-unknown, unknown");
  CHECK(told(good() + to_web) == "!route-backend-missing, http-500");
  CHECK(told(good() + app() + route("{name: web, port: 81}")) == "!route-backend-port, http-500");
  CHECK(told(good() + app() + route("{name: web}")) == "!route-backend-port, http-500");
  CHECK(told(good() + app() + route("")) == "!route-without-backend, http-500");
  CHECK(told(good() + app() + route("{name: web, port: 80, weight: 0}")) == "!route-without-backend, http-500");
  CHECK(told(good() + route("", ", filters: [{type: RequestRedirect}]")) == "none, redirect");
  CHECK(told(good() + service("web", "10.96.0.80", "10.244.1.5", false) + to_web) == "none, http-503");
  CHECK(told(kClass + gateway() + app() + to_web) == "!no-way-in, refused");
}

TEST_CASE("explain: no HTTPRoute fits") {
  const std::string objects = good() + app() + route(kWeb);
  CHECK(told(objects, "http://shop.local:31290/cartoon") == "!route-no-match, http-404");
  const explain::Answer answer = World(objects).ask("http://other.local:31290/cart");
  CHECK(problem(answer) == "route-no-match: demo/shop: shop.local  /cart");
  CHECK(answer.client.code == "http-404");
  CHECK(answer.ingress->kind.empty());
  // Nobody listens for it: then it is as without a Gateway.
  const std::string other =
      kClass + gateway("public", "203.0.113.90", ", hostname: other.local") + controller() + app() + route(kWeb);
  CHECK(told(other) == "!ingress-no-match, http-404");
  // Both kinds are there, and neither has a rule.
  CHECK(told(objects + ingress(), "http://x.local:31290/") == "!ingress-no-match !route-no-match, http-404");
}

TEST_CASE("explain: what cannot be told of a Gateway makes the client unknown") {
  CHECK(told(good() + app() + route(kWeb, "", ", headers: [{name: a, value: b}]")) ==
        "route-no-match route-not-judged, unknown");
  CHECK(told(good() + app() + route(kWeb, ", filters: [{type: ExtensionRef}]")) == "route-not-judged, unknown");
  CHECK(told(good() + app() + route("{name: web, kind: Bucket, group: example.org}")) == "route-not-judged, unknown");
  CHECK(told(good() + app() + route("{name: web, namespace: demo, port: 80}")) == "none, answer");
  const std::string elsewhere =
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: far, namespace: other}\nspec:\n  selector: {app: far}\n"
      "  clusterIP: 10.96.0.90\n  ports: [{name: http, port: 80, targetPort: 8080}]\n---\napiVersion: v1\nkind: Pod\n"
      "metadata: {name: far-1, namespace: other, labels: {app: far}}\nspec: {nodeName: node-1, containers: [{name: "
      "c}]}\nstatus: {phase: Running, podIP: 10.244.1.9, conditions: [{type: Ready, status: \"True\"}]}\n";
  const std::string far = "{name: far, namespace: other, port: 80}";
  CHECK(told(good() + elsewhere + route(far)) == "reference-grant-not-checked, unknown");
  CHECK(told(good() + route(far)) == "!route-backend-missing reference-grant-not-checked, http-500");
}

TEST_CASE("explain: the port of the listener behind a NodePort") {
  // Another listener, of a port that the request cannot have, does not count.
  const std::string listeners =
      kVersion +
      "Gateway\nmetadata: {name: public, namespace: infra}\nspec: {gatewayClassName: any, listeners: ["
      "{name: other, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}, "
      "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]}\n";
  const explain::Answer answer = World(kClass + listeners + controller() + app() + route(kWeb)).ask(kUrl);
  CHECK(answer.ingress->gateway == "infra/public, listener http");
  // No listener has a port that could be meant: it is mapped by something in front.
  const std::string mapped = kVersion +
                             "Gateway\nmetadata: {name: public, namespace: infra}\nspec: {gatewayClassName: "
                             "any, listeners: [{name: odd, port: 8000, protocol: HTTP, allowedRoutes: {namespaces: "
                             "{from: All}}}]}\n";
  CHECK(World(kClass + mapped + controller() + app() + route(kWeb)).ask(kUrl).ingress->gateway ==
        "infra/public, listener odd");
}

TEST_CASE("explain: an Ingress and a Gateway beside each other") {
  const std::string both = good() + app() + ingress() + route(kWeb);
  const explain::Answer answer = World(both).ask(kUrl);
  const explain::Finding* found = finding(answer, "ingress-or-gateway");
  REQUIRE(found != nullptr);
  CHECK(found->weight == explain::Finding::Weight::kRemark);
  CHECK(found->details == std::vector<std::string>{"Ingress demo/old", "HTTPRoute demo/shop at Gateway infra/public"});
  CHECK(answer.client.code == "unknown");
  CHECK(answer.ingress->kind.empty());
  CHECK(answer.backend == nullptr);
  // Only one of them has a rule for it.
  CHECK(World(good() + app() + ingress()).ask(kUrl).ingress->kind == "Ingress");
  CHECK(told(good() + app() + ingress()) == "none, answer");
  CHECK(answer.ingress->controller == "Service infra/public:http");
}

TEST_CASE("explain: the address of a Gateway tells whose the request is") {
  const std::string any_host = kVersion +
                               "HTTPRoute\nmetadata: {name: all, namespace: demo}\nspec: {parentRefs: [{name: public, "
                               "namespace: infra}], rules: [{backendRefs: [{name: web, port: 80}]}]}\n";
  const std::string any_ingress = ingress("");
  const std::string at_address = "http://203.0.113.90/cart";
  CHECK(told(good() + app() + any_ingress + any_host, at_address) == "none, answer");
  CHECK(World(good() + app() + any_ingress + any_host).ask(at_address).ingress->kind == "HTTPRoute");
  CHECK(told(good() + app() + any_ingress + any_host, kNodeUrl) == "ingress-or-gateway, unknown");
  // Its routes do not fit, and whether it serves Ingresses, too, is its own affair.
  CHECK(told(good() + app() + any_ingress + route(kWeb), at_address) == "ingress-or-gateway, unknown");

  // Of two Gateways the one counts that has the address; of a name it cannot be told.
  const std::string two = good() + gateway("inner", "203.0.113.91") +
                          controller("inner", "10.96.0.11", "31291", "203.0.113.91", "10.244.1.4") + app() + any_host;
  CHECK(told(two, at_address) == "none, answer");
  CHECK(told(two, "http://203.0.113.91/cart") == "!route-no-match, http-404");
  CHECK(World(two).ask("http://203.0.113.91/cart").ingress->controller == "Service infra/inner:http");
  const explain::Answer by_name = World(two).ask(kUrl);
  REQUIRE(finding(by_name, "route-not-judged") != nullptr);
  CHECK(finding(by_name, "route-not-judged")->details ==
        std::vector<std::string>{"Gateway infra/inner listens for it, too, and has no rule for it"});
  CHECK(by_name.client.code == "unknown");
}

TEST_CASE("explain: weighted backends of an HTTPRoute") {
  const std::string two = "{name: a, port: 80, weight: 70}, {name: b, port: 80, weight: 30}, ";
  const std::string none = "{name: missing, port: 80, weight: 0}";
  const std::string first = service("a", "10.96.0.81", "10.244.1.11");
  const explain::Answer answer =
      World(good() + first + service("b", "10.96.0.82", "10.244.1.12") + route(two + none)).ask(kUrl);
  CHECK(problem(answer) == "none");
  REQUIRE(finding(answer, "route-backends-weighted") != nullptr);
  CHECK(finding(answer, "route-backends-weighted")->details ==
        std::vector<std::string>{"70 % demo/a:80", "30 % demo/b:80"});
  CHECK(answer.ingress->backend == "demo/a:80");
  REQUIRE(answer.backend);
  CHECK(answer.backend->subject.name == "demo/a:http");
  CHECK(answer.client.code == "answer");

  const explain::Answer mixed =
      World(good() + first + service("b", "10.96.0.82", "10.244.1.12", false) + route(two)).ask(kUrl);
  CHECK(mixed.client.code == "mixed");
  CHECK_THAT(mixed.client.text, Catch::Contains("demo/a:80: an answer") && Catch::Contains("demo/b:80: 503"));
  REQUIRE(finding(mixed, "no-ready-endpoint") != nullptr);
  CHECK_THAT(finding(mixed, "no-ready-endpoint")->text, Catch::Contains("on the way to demo/b:80: "));
  CHECK(has_problem(mixed));
  CHECK(told(good() + first + route(two)) == "!route-backend-missing route-backends-weighted, mixed");
  CHECK(told(good() + first + route("{name: missing, port: 80, weight: 0}, {name: a, port: 80}")) == "none, answer");
}

}  // namespace kubenatd::agent::test
