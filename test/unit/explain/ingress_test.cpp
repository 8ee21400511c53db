#include "agent/explain/ingress_match.h"
#include "agent/explain/path_regex.h"
#include "test/unit/explain/explain_support.h"

/// Ingress rules as their controllers judge them.
namespace kubenatd::agent::test {
namespace {

using explain::fits_at_start;
using explain::RegexAnswer;

std::string ingress_class(const std::string& name, const std::string& controller) {
  return "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: " + name +
         "}\nspec: {controller: " + controller + "}\n";
}
const std::string kNginxClass = ingress_class("nginx", "k8s.io/ingress-nginx");

std::string path(const std::string& type, const std::string& text, const std::string& service) {
  return "{path: '" + text + "', pathType: " + type + ", backend: {service: {name: " + service +
         ", port: {number: 80}}}}";
}

/// An Ingress of shop.local.
std::string ingress(const std::string& name, const std::string& paths, const std::string& annotations = "",
                    const std::string& class_name = "nginx") {
  return "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: " + name +
         ", namespace: demo, annotations: {" + annotations + "}}\nspec:\n" +
         (class_name.empty() ? "" : "  ingressClassName: " + class_name + "\n") +
         "  rules:\n  - host: shop.local\n    http: {paths: [" + paths + "]}\n";
}

std::string service_of(const World& world, const std::string& url_path, const std::string& host = "shop.local") {
  const explain::IngressMatch match = explain::match_ingress(world.context.inventory, host, url_path);
  return (match.backend == nullptr ? "none" : match.backend->service) + (match.doubts.empty() ? "" : " maybe");
}

/// The controller's NodePort 31290, and Service web behind it.
const std::string kRest =
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: controller, namespace: ingress}\nspec:\n  type: NodePort\n"
    "  selector: {app: controller}\n  clusterIP: 10.96.0.10\n  ports: [{name: http, port: 80, nodePort: 31290}]\n"
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: controller-1, namespace: ingress, labels: {app: controller}}\n"
    "spec: {nodeName: node-1, containers: [{name: c, ports: [{containerPort: 80}]}]}\n"
    "status: {phase: Running, podIP: 10.244.1.3, conditions: [{type: Ready, status: \"True\"}]}\n" +
    web() + pod("web-1", "web", "10.244.1.5", true);

}  // namespace

TEST_CASE("path expressions: what fits, what does not, and what is not known") {
  const auto fits = [](const char* pattern, const char* text) { return fits_at_start(pattern, text); };
  for (const auto& [pattern, text] : {std::pair{"/cart", "/cart/7"},
                                      {"/cart", "/CART"},
                                      {"/cart(/|$)(.*)", "/cart"},
                                      {"/cart(/|$)(.*)", "/cart/7"},
                                      {"/v[0-9]+/a{2,3}$", "/v12/aaa"},
                                      {"/(?:one|two)/\\d+", "/two/4"},
                                      {"/(?<id>[^/]+)/x?y*z", "/q/z"},
                                      {"/a.c", "/abc"},
                                      {"/a\\.c", "/a.c"},
                                      {"", "/"},
                                      {"^/a", "/a"},
                                      {"/[]a-]+$", "/a-]"},
                                      {"/(a*)*b", "/aaaab"},
                                      {"/.+?/x", "/one/two/x"}})
    CHECK(fits(pattern, text) == RegexAnswer::kFits);
  for (const auto& [pattern, text] : {std::pair{"/cart(/|$)(.*)", "/cartoon"},
                                      {"/v[0-9]+$", "/v1a"},
                                      {"/a{2}$", "/aaa"},
                                      {"/a\\.c", "/abc"},
                                      {"/[^0-9]", "/7"},
                                      {"/a|/b", "/c"},
                                      {"/x^y", "/xy"}})
    CHECK(fits(pattern, text) == RegexAnswer::kDiffers);
  for (const char* pattern :
       {"/(?=a)", "/(?!a)", "/(?<=a)b", "/\\bcart", "/(a)\\1", "/a++", "/(?i)a", "/(a", "/a)", "/[a", "/[[:alpha:]]",
        "*a", "/a**", "/[z-a]", "/a\\", "/\\x41", "/(((((a{200}){200}){200}){200}){200})"})
    CHECK(fits(pattern, "/a") == RegexAnswer::kUnknown);
  CHECK(fits_at_start(std::string(200, '('), "/a") == RegexAnswer::kUnknown);
  CHECK(fits_at_start("/(a|a|a|a)*b", "/" + std::string(5000, 'a')) == RegexAnswer::kDiffers);
  CHECK(fits_at_start(std::string(2000, 'a'), "/a") == RegexAnswer::kUnknown);
}

TEST_CASE("Ingress: ingress-nginx takes paths as expressions once one rule of the host asks for it") {
  const World world(kNginxClass +
                    ingress("shop", path("ImplementationSpecific", "/cart(/|$)(.*)", "cart"),
                            "nginx.ingress.kubernetes.io/rewrite-target: /$2") +
                    ingress("other", path("Prefix", "/pay", "pay") + ", " + path("Exact", "/exact", "exact")));
  CHECK(service_of(world, "/cart/7") == "cart");
  CHECK(service_of(world, "/cartoon") == "none");
  CHECK(service_of(world, "/pay/now") == "pay");
  CHECK(service_of(world, "/PAYMENTS") == "pay");
  CHECK(service_of(world, "/exactly") == "exact");

  const World plain(kNginxClass + ingress("shop", path("ImplementationSpecific", "/cart", "cart") + ", " +
                                                      path("Prefix", "/pay", "pay")));
  CHECK(service_of(plain, "/cartoon") == "cart");
  CHECK(service_of(plain, "/payments") == "none");
  CHECK(service_of(plain, "/pay/now") == "pay");

  const World odd(kNginxClass + ingress("shop", path("ImplementationSpecific", "/(?!admin)", "front"),
                                        "nginx.ingress.kubernetes.io/use-regex: 'true'"));
  CHECK(service_of(odd, "/x") == "none maybe");
}

TEST_CASE("Ingress: ingress-nginx knows other names of a host, and the longest expression goes first") {
  const World world(kNginxClass + ingress("shop",
                                          path("ImplementationSpecific", "/a.*", "short") + ", " +
                                              path("ImplementationSpecific", "/a/b/.*", "long"),
                                          "nginx.ingress.kubernetes.io/use-regex: 'true', "
                                          "nginx.ingress.kubernetes.io/server-alias: 'www.shop.local, *.shop.test'"));
  CHECK(service_of(world, "/a/b/c", "www.shop.local") == "long");
  CHECK(service_of(world, "/a/x", "de.shop.test") == "short");
  CHECK(service_of(world, "/a/x", "shop.test") == "none");
}

TEST_CASE("Ingress: a class by annotation needs no object for ingress-nginx, and is not known for others") {
  const std::string paths = path("Prefix", "/", "web");
  const auto ask = [&](const std::string& name) {
    const World world(ingress("shop", paths, "kubernetes.io/ingress.class: " + name, "") + kRest);
    const explain::Answer answer = world.ask("http://shop.local:31290/");
    return problem(answer) + " " + answer.client.code;
  };
  CHECK(ask("nginx") == "none answer");
  CHECK(ask("fancy") == "none unknown");
}

TEST_CASE("Ingress: what another controller reads in its own way is not known, rather than a 404") {
  const std::string odd = ingress_class("odd", "example.com/odd");
  const auto ask = [&](const std::string& objects, const std::string& url_path) {
    const World world(odd + objects + kRest);
    const explain::Answer answer = world.ask("http://shop.local:31290" + url_path);
    const bool doubted = finding(answer, "ingress-not-judged") != nullptr;
    return problem(answer).substr(0, problem(answer).find(':')) + " " + answer.client.code + (doubted ? " doubt" : "");
  };
  const std::string own = ingress("shop", path("ImplementationSpecific", "/shop/*", "web"), "", "odd");
  CHECK(ask(own, "/shop/7") == "none unknown doubt");
  const std::string plain = ingress("shop", path("ImplementationSpecific", "/shop", "web"), "", "odd");
  CHECK(ask(plain, "/shop") == "none answer");
  CHECK(ask(plain, "/shop/7") == "none unknown doubt");
  CHECK(ask(plain, "/cart") == "ingress-no-match http-404");
  const std::string prefix = path("Prefix", "/shop", "web");
  CHECK(ask(ingress("shop", prefix, "", "odd"), "/shop/7") == "none answer");
  CHECK(ask(ingress("shop", prefix, "traefik.ingress.kubernetes.io/router.pathmatcher: PathRegexp", "odd"),
            "/shop/7") == "none unknown doubt");
}

TEST_CASE("Ingress: annotations of ingress-nginx that answer themselves, or give a share to another one") {
  const std::string paths = path("Prefix", "/", "web");
  const World canary(kNginxClass + ingress("shop", paths) +
                     ingress("try", path("Prefix", "/", "new"), "nginx.ingress.kubernetes.io/canary: 'true'"));
  CHECK(service_of(canary, "/x") == "web maybe");
  const World redirect(kNginxClass +
                       ingress("shop", paths, "nginx.ingress.kubernetes.io/permanent-redirect: 'https://example.com'"));
  CHECK(service_of(redirect, "/x") == "web maybe");
  const World harmless(kNginxClass + ingress("shop", paths, "nginx.ingress.kubernetes.io/proxy-body-size: 8m"));
  CHECK(service_of(harmless, "/x") == "web");
}

}  // namespace kubenatd::agent::test
