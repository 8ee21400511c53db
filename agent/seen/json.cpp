#include "agent/seen/json.h"

#include <concepts>
#include <exception>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace kubenatd::agent::seen {
namespace {

using Json = nlohmann::ordered_json;

/// A value of type T, or a const one.
template <class S, class T>
concept Of = std::same_as<std::remove_const_t<S>, T>;

// The fields of each type by their names in JSON: one list for the writer and for the reader.

template <class V>
void fields(Of<RuleCount> auto& value, V&& field) {
  field("table", value.table);
  field("rules", value.rules);
}
template <class V>
void fields(Of<FamilyStatus> auto& value, V&& field) {
  field("family", value.family);
  field("lastSync", value.last_sync);
  field("lastWrite", value.last_write);
  field("waitingSince", value.waiting_since);
  field("error", value.error);
  field("failingSince", value.failing_since);
  field("syncs", value.syncs);
  field("failedSyncs", value.failed_syncs);
  field("lastSyncSeconds", value.last_sync_seconds);
  field("rules", value.rules);
  field("driftFound", value.drift_found);
  field("driftHealed", value.drift_healed);
  field("lastDrift", value.last_drift);
  field("fastPath", value.fast_path);
  field("fastPathDevices", value.fast_path_devices);
}
template <class V>
void fields(Of<SourceStatus> auto& value, V&& field) {
  field("resource", value.resource);
  field("up", value.up);
  field("objects", value.objects);
  field("failure", value.failure);
  field("absent", value.absent);
  field("since", value.since);
}
template <class V>
void fields(Of<RefusedStatus> auto& value, V&& field) {
  field("family", value.family);
  field("kind", value.kind);
  field("name", value.name);
  field("cause", value.cause);
}
template <class V>
void fields(Of<WithheldStatus> auto& value, V&& field) {
  field("family", value.family);
  field("pod", value.pod);
  field("port", value.port);
  field("owner", value.owner);
  field("text", value.text);
}
template <class V>
void fields(Of<ClashStatus> auto& value, V&& field) {
  field("family", value.family);
  field("frontend", value.frontend);
  field("claimants", value.claimants);
  field("serves", value.serves);
}
template <class V>
void fields(Of<ObjectCounts> auto& value, V&& field) {
  field("services", value.services);
  field("endpointSlices", value.endpoint_slices);
  field("endpoints", value.endpoints);
}
template <class V>
void fields(Of<Status> auto& value, V&& field) {
  field("schema", value.schema);
  field("problems", value.problems);
  field("version", value.version);
  field("node", value.node);
  field("mode", value.mode);
  field("kernel", value.kernel);
  field("started", value.started);
  field("now", value.now);
  field("ready", value.ready);
  field("waitsFor", value.waits_for);
  field("objectsOf", value.objects_of);
  field("owner", value.owner);
  field("objects", value.objects);
  field("families", value.families);
  field("sources", value.sources);
  field("refused", value.refused);
  field("refusedObjects", value.refused_objects);
  field("withheld", value.withheld);
  field("withheldPorts", value.withheld_ports);
  field("clashes", value.clashes);
  field("clashingFrontends", value.clashing_frontends);
  field("otherProxies", value.other_proxies);
  field("lastHappening", value.last_happening);
}
template <class V>
void fields(Of<EndpointsOf> auto& value, V&& field) {
  field("family", value.family);
  field("ready", value.ready);
  field("all", value.all);
}
template <class V>
void fields(Of<EndpointRow> auto& value, V&& field) {
  field("address", value.address);
  field("ready", value.ready);
  field("serving", value.serving);
  field("here", value.here);
  field("usedBy", value.used_by);
}
template <class V>
void fields(Of<PortRow> auto& value, V&& field) {
  field("name", value.name);
  field("family", value.family);
  field("frontends", value.frontends);
  field("endpoints", value.endpoints);
  field("moreEndpoints", value.more_endpoints);
}
template <class V>
void fields(Of<ServiceRow> auto& value, V&& field) {
  field("namespace", value.ns);
  field("name", value.name);
  field("type", value.type);
  field("addresses", value.addresses);
  field("external", value.external);
  field("ports", value.ports);
  field("endpoints", value.endpoints);
  field("notServed", value.not_served);
  field("changed", value.changed);
  field("drift", value.drift);
  field("lastDrift", value.last_drift);
  field("newConnections", value.new_connections);
  field("problems", value.problems);
  field("detail", value.detail);
}
template <class V>
void fields(Of<ServicesPage> auto& value, V&& field) {
  field("schema", value.schema);
  field("services", value.services);
  field("matching", value.matching);
  field("offset", value.offset);
  field("rows", value.rows);
}

template <class T>
concept Scalar = std::is_arithmetic_v<T> || std::same_as<T, std::string>;

Json written(const Scalar auto& value) {
  return value;
}
template <class T>
Json written(const T& value);
template <class T>
Json written(const std::vector<T>& values) {
  Json list = Json::array();
  for (const T& value : values) list.push_back(written(value));
  return list;
}
template <class T>
Json written(const T& value) {
  Json object = Json::object();
  const auto put = [&]<class F>(const char* name, const std::optional<F>& field) {
    if (field) object[name] = written(*field);
  };
  fields(value, [&]<class F>(const char* name, const F& field) {
    if constexpr (requires { field.has_value(); })
      put(name, field);
    else
      object[name] = written(field);
  });
  return object;
}

void read(const Json& json, Scalar auto& value) {
  json.get_to(value);
}
template <class T>
void read(const Json& json, T& value);
template <class T>
void read(const Json& json, std::optional<T>& value) {
  read(json, value.emplace());
}
template <class T>
void read(const Json& json, std::vector<T>& values) {
  if (!json.is_array()) throw std::invalid_argument("a list is something else");
  for (const Json& one : json) read(one, values.emplace_back());
}
template <class T>
void read(const Json& json, T& value) {
  if (!json.is_object()) throw std::invalid_argument("an object is something else");
  fields(value, [&](const char* name, auto& field) {
    const auto found = json.find(name);
    if (found != json.end()) read(*found, field);
  });
}

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <class T>
rules::Result<T> read_document(std::string_view text, std::string_view schema) {
  try {
    T value;
    read(Json::parse(text), value);
    if (value.schema == schema) return value;
    return rules::fail("answer", "read", "it is no " + std::string(schema));
  } catch (const std::exception& error) {
    return rules::fail("answer", "read", error.what());
  }
}

}  // namespace

std::string to_json(const Status& status) {
  return text_of(written(status));
}

std::string to_json(const ServicesPage& page) {
  return text_of(written(page));
}

std::string to_json(const std::vector<Happening>& happenings, std::uint64_t last) {
  Json list = Json::array();
  for (const Happening& one : happenings) {
    Json json{{"number", one.number}, {"kind", name_of(one.kind)}, {"at", base::to_rfc3339(one.at)}};
    if (!one.family.empty()) json["family"] = one.family;
    if (!one.what.empty()) json["what"] = one.what;
    if (!one.objects.empty()) json["objects"] = one.objects;
    if (one.more_objects != 0) json["moreObjects"] = one.more_objects;
    if (one.kind == Happening::Kind::kDrift) {
      json["chainsWritten"] = one.chains;
      json["rulesWritten"] = one.rules;
      json["elementsWritten"] = one.elements;
    }
    if (!one.writers.empty()) json["writers"] = one.writers;
    if (one.stood) json["stoodSeconds"] = std::chrono::duration<double>(*one.stood).count();
    list.push_back(std::move(json));
  }
  return text_of({{"schema", kHistorySchema}, {"last", last}, {"happenings", std::move(list)}});
}

rules::Result<Status> read_status(std::string_view text) {
  return read_document<Status>(text, kStatusSchema);
}

rules::Result<ServicesPage> read_services(std::string_view text) {
  return read_document<ServicesPage>(text, kServicesSchema);
}

}  // namespace kubenatd::agent::seen
