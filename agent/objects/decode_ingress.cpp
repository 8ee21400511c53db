#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "agent/objects/api_words.h"
#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {
namespace {

constexpr const char* kClassAnnotation = "kubernetes.io/ingress.class";
constexpr const char* kDefaultAnnotation = "ingressclass.kubernetes.io/is-default-class";

void check_backend(const Field& field, const IngressBackend& backend) {
  if (!field.is_from_folder()) return;
  const Field service = field.member("service");
  const bool has_resource = field.member("resource").present();
  if (!service.present() && !has_resource) field.disallow(invalid("", "resource or service backend is required"));
  if (service.present() && has_resource) field.disallow(invalid("", "cannot set both resource and service backends"));
  if (!service.present()) return;
  const Field name = service.member("name");
  if (backend.service.empty())
    name.disallow(required());
  else if (const auto wrong = wrong_dns_label(backend.service); !wrong.empty())
    name.disallow(invalid(backend.service, wrong));
  if (!backend.port_name.empty() && backend.port != 0)
    field.disallow(invalid("", "cannot set both port name & port number"));
  if (backend.port_name.empty() && backend.port == 0) field.disallow(required("port name or number is required"));
  if (const auto wrong = wrong_port_name(backend.port_name); !backend.port_name.empty() && !wrong.empty())
    service.member("port").member("name").disallow(invalid(backend.port_name, wrong));
}

IngressBackend read_backend(const Field& field) {
  IngressBackend backend;
  const Field service = field.member("service", Wrong::kLeave);
  backend.service = service.member("name", Wrong::kLeave).text(Wrong::kLeave);
  const Field port = service.member("port", Wrong::kLeave);
  backend.port = port.member("number", Wrong::kLeave).port_or_zero(Wrong::kLeave);
  backend.port_name = port.member("name", Wrong::kLeave).text(Wrong::kLeave);
  check_backend(field, backend);
  return backend;
}

/// Texts that controllers would read in more than one way.
void check_path(const Field& field, const std::string& path, bool is_specific) {
  if (!field.is_from_folder() || (is_specific && path.empty())) return;
  if (!path.starts_with('/')) field.disallow(invalid(path, "must be an absolute path"));
  if (is_specific) return;
  for (const std::string_view part : {"//", "/./", "/../", "%2f", "%2F"})
    if (path.contains(part)) field.disallow(invalid(path, fmt::format("must not contain '{}'", part)));
  for (const std::string_view end : {"/..", "/."})
    if (path.ends_with(end)) field.disallow(invalid(path, fmt::format("cannot end with '{}'", end)));
}

IngressPath read_path(const Field& field) {
  constexpr std::array<std::string_view, 3> kTypes{"Exact", "ImplementationSpecific", "Prefix"};
  IngressPath path;
  const Field path_field = field.member("path", Wrong::kLeave);
  path.path = path_field.text(Wrong::kLeave);
  const Field type_field = field.member("pathType", Wrong::kLeave);
  const std::string type = type_field.text(Wrong::kLeave);
  if (!type_field.present()) type_field.disallow(required("pathType must be specified"));
  if (std::ranges::find(kTypes, type) == kTypes.end()) type_field.disallow(not_supported(type, kTypes));
  check_path(path_field, path.path, type == "ImplementationSpecific");
  if (path.path.empty()) path.path = "/";
  if (type == "Exact") path.type = IngressPath::Type::kExact;
  if (type == "Prefix") path.type = IngressPath::Type::kPrefix;
  path.backend = read_backend(field.member("backend", Wrong::kLeave));
  return path;
}

IngressRule read_rule(const Field& field) {
  IngressRule rule;
  const Field host = field.member("host", Wrong::kLeave);
  rule.host = host.text(Wrong::kLeave);
  if (rules::Address::parse(rule.host)) host.disallow(invalid(rule.host, "must be a DNS name, not an IP address"));
  if (const auto wrong = wrong_host(rule.host); !rule.host.empty() && !wrong.empty())
    host.disallow(invalid(rule.host, wrong));
  const Field http = field.member("http", Wrong::kLeave);
  const Field paths = http.member("paths", Wrong::kLeave);
  const std::vector<Field> elements = paths.elements(Wrong::kLeave);
  if (http.present() && elements.empty()) paths.disallow(required());
  for (const Field& path : elements) rule.paths.push_back(read_path(path));
  return rule;
}

/// "example.org/name", as the API server wants it.
void check_controller(const Field& field, std::string_view name) {
  if (!field.is_from_folder()) return;
  constexpr std::size_t kLongest = 250;
  const std::size_t slash = name.find('/');
  if (name.empty()) return field.disallow(required());
  if (name.size() > kLongest) return field.disallow("Too long: may not be more than 250 bytes");
  if (slash == std::string_view::npos || slash + 1 == name.size() || slash == 0)
    return field.disallow(invalid(name, "must be a domain-prefixed path (such as \"acme.io/foo\")"));
  if (const auto wrong = wrong_dns_subdomain(name.substr(0, slash)); !wrong.empty())
    field.disallow(invalid(name.substr(0, slash), wrong));
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
  const Field metadata = root.member("metadata");
  const Field spec = root.member("spec", Wrong::kLeave);
  const Field class_field = spec.member("ingressClassName", Wrong::kLeave);
  ingress.class_name = class_field.text(Wrong::kLeave);
  if (const auto wrong = wrong_dns_subdomain(ingress.class_name); class_field.present() && !wrong.empty())
    class_field.disallow(invalid(ingress.class_name, wrong));
  const Field by_annotation = metadata.member("annotations").entry(kClassAnnotation);
  const std::string annotated = by_annotation.text();
  if (class_field.present() && by_annotation.present() && annotated != ingress.class_name)
    by_annotation.disallow(invalid(annotated, "must match `ingressClassName` when both are specified"));
  if (ingress.class_name.empty()) {
    ingress.class_name = annotated;
    ingress.class_by_annotation = !annotated.empty();
  }
  ingress.annotations = metadata.member("annotations").labels();
  std::erase_if(ingress.annotations, [](const auto& one) { return !is_for_controllers(one.first); });
  if (const Field backend = spec.member("defaultBackend", Wrong::kLeave); backend.present())
    ingress.default_backend = read_backend(backend);
  for (const Field& element : spec.member("rules", Wrong::kLeave).elements(Wrong::kLeave))
    ingress.rules.push_back(read_rule(element));
  if (ingress.rules.empty() && !ingress.default_backend)
    spec.disallow("Invalid value: either `defaultBackend` or `rules` must be specified");
  for (const Field& element : spec.member("tls", Wrong::kLeave).elements(Wrong::kLeave))
    for (const Field& host : element.member("hosts", Wrong::kLeave).elements(Wrong::kLeave)) {
      std::string name = host.text(Wrong::kLeave);
      if (const auto wrong = wrong_host(name); !wrong.empty()) host.disallow(invalid(name, wrong));
      ingress.tls_hosts.push_back(std::move(name));
    }
  return ingress;
}

IngressClass decode_ingress_class(const Field& root, ObjectKey key) {
  IngressClass ingress_class;
  ingress_class.key = std::move(key);
  const Field controller = root.member("spec", Wrong::kLeave).member("controller", Wrong::kLeave);
  ingress_class.controller = controller.text(Wrong::kLeave);
  check_controller(controller, ingress_class.controller);
  ingress_class.is_default = root.member("metadata").member("annotations").entry(kDefaultAnnotation).text() == "true";
  return ingress_class;
}

}  // namespace kubenatd::agent::objects
