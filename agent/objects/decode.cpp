#include "agent/objects/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/base/printable.h"
#include "agent/objects/api_words.h"
#include "agent/objects/checks.h"
#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {
namespace {

using nlohmann::json;

struct KnownKind {
  Kind kind;
  std::string_view api_version;
};

constexpr KnownKind kKnownKinds[] = {
    {Kind::kService, "v1"},
    {Kind::kEndpointSlice, "discovery.k8s.io/v1"},
    {Kind::kNode, "v1"},
    {Kind::kPod, "v1"},
    {Kind::kEndpoints, "v1"},
    {Kind::kServiceCidr, "networking.k8s.io/v1"},       // Kubernetes 1.33 and newer
    {Kind::kServiceCidr, "networking.k8s.io/v1beta1"},  // 1.31 and newer
    {Kind::kIngress, "networking.k8s.io/v1"},
    {Kind::kIngressClass, "networking.k8s.io/v1"},
    {Kind::kGatewayClass, "gateway.networking.k8s.io/v1"},
    {Kind::kGatewayClass, "gateway.networking.k8s.io/v1beta1"},
    {Kind::kGateway, "gateway.networking.k8s.io/v1"},
    {Kind::kGateway, "gateway.networking.k8s.io/v1beta1"},
    {Kind::kHttpRoute, "gateway.networking.k8s.io/v1"},
    {Kind::kHttpRoute, "gateway.networking.k8s.io/v1beta1"},
};

/// Of this version, or else the first one of this kind.
const KnownKind* find_kind(std::string_view kind, std::string_view api_version) {
  const KnownKind* found = nullptr;
  for (const KnownKind& known : kKnownKinds) {
    if (name_of(known.kind) != kind) continue;
    if (known.api_version == api_version) return &known;
    if (found == nullptr) found = &known;
  }
  return found;
}

std::string_view api_group(std::string_view api_version) {
  const auto slash = api_version.find('/');
  return slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
}

std::string text_or_empty(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// "Service demo/web", as good as it can be said of an object that may be wrong all over.
std::string describe(const json& document, std::string_view kind) {
  std::string name;
  if (const auto metadata = document.find("metadata"); metadata != document.end() && metadata->is_object()) {
    const std::string ns = text_or_empty(*metadata, "namespace");
    name = text_or_empty(*metadata, "name");
    if (!ns.empty() && !name.empty()) name = ns + "/" + name;
  }
  constexpr std::size_t kLongest = 330;  // a namespace and a name fit
  const std::string shown = base::one_line(kind);
  return name.empty() ? shown : fmt::format("{} {}", shown, base::one_line(name, kLongest));
}

/// The names of all kinds are DNS names; a Service's is a label, as others make DNS names out of it.
ObjectKey read_key(const Field& root, Kind kind) {
  ObjectKey key;
  const Field metadata = root.member("metadata");
  const Field name = metadata.member("name");
  key.name = name.text();
  if (key.name.empty())
    name.tell(Wrong::kRefuse, required("name or generateName is required"));
  else if (const auto wrong = wrong_dns_subdomain(key.name); !wrong.empty())
    name.tell(Wrong::kRefuse, invalid(key.name, wrong));
  else if (const auto wrong = wrong_dns_label(key.name); kind == Kind::kService && !wrong.empty())
    name.disallow(invalid(key.name, wrong));
  const Field ns = metadata.member("namespace");
  std::string ns_text = ns.text();
  if (!has_namespace(kind)) return key;
  key.ns = ns_text.empty() ? "default" : std::move(ns_text);
  if (const auto wrong = wrong_dns_label(key.ns); !wrong.empty()) ns.tell(Wrong::kRefuse, invalid(key.ns, wrong));
  return key;
}

/// Labels and annotations of all kinds, and times.
void check_metadata(const Field& metadata) {
  const Field labels = metadata.member("labels");
  if (labels.is_from_folder())
    check_label_texts(labels);
  else
    labels.check_labels();
  metadata.member("annotations").check_labels();
  (void)metadata.member("creationTimestamp").time();
  (void)metadata.member("deletionTimestamp").time();
}

std::optional<Object> decode_kind(const Field& root, Kind kind, ObjectKey key) {
  switch (kind) {
    case Kind::kService: return decode_service(root, std::move(key));
    case Kind::kEndpointSlice: return decode_endpoint_slice(root, std::move(key));
    case Kind::kNode: return decode_node(root, std::move(key));
    case Kind::kServiceCidr: return decode_service_cidr(root, std::move(key));
    case Kind::kIngress: return decode_ingress(root, std::move(key));
    case Kind::kIngressClass: return decode_ingress_class(root, std::move(key));
    case Kind::kPod: return decode_pod(root, std::move(key));
    case Kind::kGatewayClass: return decode_gateway_class(root, std::move(key));
    case Kind::kGateway: return decode_gateway(root, std::move(key));
    case Kind::kHttpRoute: return decode_http_route(root, std::move(key));
    case Kind::kEndpoints: return decode_endpoints(root, std::move(key));
  }
  return std::nullopt;
}

rules::Result<DecodedObject> decode(const json& document, Origin origin) {
  if (!document.is_object()) return rules::fail("document", "read", "is not a map, so no Kubernetes object");
  DecodedObject decoded;
  const std::string kind = text_or_empty(document, "kind");
  const std::string api_version = text_or_empty(document, "apiVersion");
  if (kind.empty()) {
    decoded.passed_over = "a document without kind is not used";
    return decoded;
  }
  const std::string described = describe(document, kind);
  const KnownKind* known = find_kind(kind, api_version);
  if (known == nullptr) {
    decoded.passed_over = described + ": this kind is not used";
    return decoded;
  }
  if (api_version.empty()) return rules::fail(described, "apiVersion", "is missing");
  if (api_version != known->api_version) {
    if (api_group(api_version) == api_group(known->api_version))
      return rules::fail(described, "apiVersion",
                         fmt::format("{} is not {}", base::in_quotes(api_version), known->api_version));
    decoded.passed_over = fmt::format("{}: kind {} of {} is not used", described, kind, base::in_quotes(api_version));
    return decoded;
  }

  Findings findings(described, origin);
  const Field root(document, findings);
  ObjectKey key = read_key(root, known->kind);
  if (findings.refused()) return std::unexpected(findings.refusal());
  findings.rename(fmt::format("{} {}", kind, key.to_string()));
  check_metadata(root.member("metadata"));
  decoded.object = decode_kind(root, known->kind, std::move(key));
  if (findings.refused()) return std::unexpected(findings.refusal());
  decoded.remarks = findings.take_remarks();
  if (!decoded.object) decoded.passed_over = described + ": addressType FQDN is not used";
  return decoded;
}

}  // namespace

bool is_used_kind(std::string_view kind) {
  return std::ranges::any_of(kKnownKinds, [&](const KnownKind& known) { return name_of(known.kind) == kind; });
}

rules::Result<DecodedObject> decode_object(const json& document, Origin origin) {
  try {
    return decode(document, origin);
  } catch (const std::exception& thrown) {
    return rules::fail("document", "decode", base::one_line(thrown.what()));
  }
}

}  // namespace kubenatd::agent::objects
