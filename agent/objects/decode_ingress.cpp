#include <algorithm>
#include <string_view>

#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {
namespace {

constexpr const char* kClassAnnotation = "kubernetes.io/ingress.class";
constexpr const char* kDefaultAnnotation = "ingressclass.kubernetes.io/is-default-class";

IngressBackend read_backend(const Field& field) {
  IngressBackend backend;
  const Field service = field.member("service", Wrong::kLeave);
  backend.service = service.member("name", Wrong::kLeave).text(Wrong::kLeave);
  const Field port = service.member("port", Wrong::kLeave);
  constexpr std::uint32_t kHighest = 65535;
  backend.port =
      static_cast<std::uint16_t>(port.member("number", Wrong::kLeave).number(0, kHighest, Wrong::kLeave).value_or(0));
  backend.port_name = port.member("name", Wrong::kLeave).text(Wrong::kLeave);
  return backend;
}

IngressPath read_path(const Field& field) {
  IngressPath path;
  path.path = field.member("path", Wrong::kLeave).text(Wrong::kLeave);
  if (path.path.empty()) path.path = "/";
  const std::string type = field.member("pathType", Wrong::kLeave).text(Wrong::kLeave);
  if (type == "Exact") path.type = IngressPath::Type::kExact;
  if (type == "Prefix") path.type = IngressPath::Type::kPrefix;
  path.backend = read_backend(field.member("backend", Wrong::kLeave));
  return path;
}

std::string annotation(const Field& root, const char* name) {
  return root.member("metadata", Wrong::kLeave)
      .member("annotations", Wrong::kLeave)
      .member(name, Wrong::kLeave)
      .text(Wrong::kLeave);
}

/// Annotations are of some controller when their domain is; kubectl and others keep whole objects in theirs.
bool is_for_controllers(std::string_view name) {
  const std::string_view domain = name.substr(0, name.find('/'));
  constexpr std::string_view kParts[] = {"ingress", "nginx", "traefik", "haproxy", "konghq", "projectcontour"};
  return domain.size() < name.size() && std::ranges::any_of(kParts, [&](std::string_view part) {
           return domain.find(part) != std::string_view::npos;
         });
}

}  // namespace

Ingress decode_ingress(const Field& root, ObjectKey key) {
  Ingress ingress;
  ingress.key = std::move(key);
  const Field spec = root.member("spec", Wrong::kLeave);
  ingress.class_name = spec.member("ingressClassName", Wrong::kLeave).text(Wrong::kLeave);
  if (ingress.class_name.empty()) {
    ingress.class_name = annotation(root, kClassAnnotation);
    ingress.class_by_annotation = !ingress.class_name.empty();
  }
  ingress.annotations =
      root.member("metadata", Wrong::kLeave).member("annotations", Wrong::kLeave).labels(Wrong::kLeave);
  std::erase_if(ingress.annotations, [](const auto& one) { return !is_for_controllers(one.first); });
  if (const Field backend = spec.member("defaultBackend", Wrong::kLeave); backend.present())
    ingress.default_backend = read_backend(backend);
  for (const Field& element : spec.member("rules", Wrong::kLeave).elements(Wrong::kLeave)) {
    IngressRule rule;
    rule.host = element.member("host", Wrong::kLeave).text(Wrong::kLeave);
    const Field http = element.member("http", Wrong::kLeave);
    for (const Field& path : http.member("paths", Wrong::kLeave).elements(Wrong::kLeave))
      rule.paths.push_back(read_path(path));
    ingress.rules.push_back(std::move(rule));
  }
  for (const Field& element : spec.member("tls", Wrong::kLeave).elements(Wrong::kLeave))
    for (const Field& host : element.member("hosts", Wrong::kLeave).elements(Wrong::kLeave))
      ingress.tls_hosts.push_back(host.text(Wrong::kLeave));
  return ingress;
}

IngressClass decode_ingress_class(const Field& root, ObjectKey key) {
  IngressClass ingress_class;
  ingress_class.key = std::move(key);
  ingress_class.controller = root.member("spec", Wrong::kLeave).member("controller", Wrong::kLeave).text(Wrong::kLeave);
  ingress_class.is_default = annotation(root, kDefaultAnnotation) == "true";
  return ingress_class;
}

}  // namespace kubenatd::agent::objects
