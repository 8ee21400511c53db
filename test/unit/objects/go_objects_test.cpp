// Compares with the table that Kubernetes' own decoding, defaults and validation made: see test/oracle/objects.

#include <algorithm>
#include <fstream>
#include <functional>
#include <regex>
#include <span>
#include <utility>

#include "test/support/places.h"
#include "test/unit/objects/objects_support.h"
#include "test/unit/objects/typed_fields.h"

using namespace kubenatd::agent::objects;
using nlohmann::json;

namespace {

const std::string kTable = kubenatd::test::project_file("test/unit/objects/go_objects.jsonl");

struct Exception {
  const char* path;    ///< a field, as Go names it, without indexes
  const char* reason;  ///< why it is not refused here
};

// What Kubernetes refuses and kubenatd does not.
constexpr Exception kNotRefused[] = {
    {"spec.ports", "a Service without ports makes no rules"},
    {"spec.externalName", "is not read"},
    {"spec.trafficDistribution", "is read where endpoints are derived"},
    {"spec.containers", "a Pod without containers has no ports"},
    {"spec.containers.image", "is not read"},
    {"spec.containers.name", "is not read"},
    {"spec.initContainers.image", "is not read"},
    {"spec.initContainers.name", "is not read"},
    {"spec.initContainers.restartPolicy", "any other word than Always keeps the container's ports out"},
    {"status.conditions.Type", "only Ready is looked for"},
    {"status.loadBalancer.ingress.hostname", "is not read"},
    {"metadata.taints.effect", "is not read"},
    {"metadata.taints", "taints are only looked for one key"},
};

// Nor is an IPv6 address of an endpoint in a form that was taken until Kubernetes 1.33.

// What Kubernetes takes and kubenatd refuses, by the beginning of its own words.
constexpr Exception kRefusedHere[] = {
    {"spec.ports.nodePort", "the allocator of ports refuses it, not the validation"},
    {"spec.clusterIP", "0.0.0.0 and :: are no addresses of a Service; the allocator refuses them"},
    {"spec.clusterIPs", "the same"},
};

std::string without_indexes(const std::string& path) {
  static const std::regex kIndex(R"(\[\d+\])");
  return std::regex_replace(path, kIndex, "");
}

/// Go's name of a field as the API's documentation has it.
std::string usual_path(std::string path) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    if (const auto at = path.find(from); at != std::string::npos) path.replace(at, from.size(), to);
  };
  replace("spec.LoadBalancerSourceRanges", "spec.loadBalancerSourceRanges");
  replace("metadata.taints", "spec.taints");
  replace(".IngressRuleValue", "");  // embedded in Go
  if (path.starts_with("annotations.")) path = "metadata.annotations[" + path.substr(12) + "]";
  return path;
}

/// Go names the element of the plural for a singular field, and a Pod's address without its last part.
bool is_same_field(const std::string& theirs, const std::string& ours) {
  constexpr std::pair<std::string_view, std::string_view> kSame[] = {{"spec.clusterIPs[0]", "spec.clusterIP"},
                                                                     {"spec.podCIDRs[0]", "spec.podCIDR"},
                                                                     {"status.podIPs[0]", "status.podIP"}};
  return theirs == ours || theirs + ".ip" == ours || theirs.starts_with(ours + "[") ||
         std::ranges::find(kSame, std::pair<std::string_view, std::string_view>{theirs, ours}) != std::end(kSame);
}

bool is_excepted(const std::string& path, std::span<const Exception> exceptions) {
  return std::ranges::any_of(exceptions, [&](const Exception& one) { return without_indexes(path) == one.path; });
}

/// "Invalid value: -1" of "Invalid value: -1: must be between ...", and the same of quoted values.
std::string head_of(const std::string& reason) {
  static const std::regex kHead(R"re(^[A-Z][a-z ]+(: ("([^"\\]|\\.)*"|[^:\[{]+))?)re");
  std::smatch match;
  return std::regex_search(reason, match, kHead) ? match.str() : reason;
}

/// Words that are as Go's to the last letter.
bool is_own_wording(const std::string& reason) {
  constexpr std::string_view kOwn[] = {
      "DNS name",           "DNS label",        "letters, digits",     "no more than 63",   "no more than 15",
      "must be an IPv",     "no more than 253", "canonical form",      "name part must be", "prefix part must be",
      "for each IP family", "Duplicate value",  "may only hold up to", "either `default",   "Too long",
      "must be \"*.\""};
  return std::ranges::any_of(kOwn, [&](std::string_view one) { return reason.contains(one); });
}

json patched(json document, const json& patches) {
  for (const json& patch : patches) {
    const json::json_pointer place(patch[0].get<std::string>());
    if (patch.size() > 1) {
      document[place] = patch[1];
      continue;
    }
    json& parent = document[place.parent_pointer()];
    if (parent.is_array())
      parent.erase(std::stoul(place.back()));
    else
      parent.erase(place.back());
  }
  return document;
}

struct Line {
  json document;
  json verdict;  ///< d, e, or neither
  json fields;   ///< when accepted
};

/// Each line of the table, with its object.
void each_line(const std::function<void(const Line&)>& visit) {
  std::ifstream file(kTable);
  REQUIRE(file);
  std::vector<Line> bases;
  for (std::string text; std::getline(file, text);) {
    const json line = json::parse(text);
    if (line.contains("base")) {
      bases.push_back({line["base"], line, line["o"]});
      visit(bases.back());
      continue;
    }
    const Line& base = bases.at(line["b"].get<std::size_t>());
    Line one{patched(base.document, line["m"]), line, base.fields};
    if (line.contains("o")) one.fields.update(line["o"]);
    visit(one);
  }
}

/// Names instead of addresses: nothing else is looked at.
bool is_of_names(const json& document) {
  const auto text_at = [&](const char* pointer) {
    const json::json_pointer place(pointer);
    return document.contains(place) ? document[place] : json();
  };
  return text_at("/spec/type") == "ExternalName" || text_at("/addressType") == "FQDN";
}

/// Go's value, where the form is another one here: nil lists and maps, and phases that are not told apart.
json as_read_here(const std::string& name, json value) {
  if (name == "phase") {
    constexpr std::string_view kPhases[] = {"Pending", "Running", "Succeeded", "Failed"};
    if (std::ranges::find(kPhases, value.get<std::string>()) == std::end(kPhases)) return "other";
  }
  if (!value.is_null()) return value;
  if (name == "selector" || name == "labels") return json::object();
  return name == "families" ? json::array() : json();
}

struct Counts {
  int refused = 0;
  int accepted = 0;
  int excepted = 0;
};

void compare_refusal(const Line& line, const kubenatd::rules::Result<DecodedObject>& decoded, Counts& counts) {
  if (line.verdict.contains("d")) {
    const std::string path = line.verdict["d"].get<std::string>();
    if (decoded) {
      CHECK((is_excepted(path, kNotRefused) || is_of_names(line.document)));
      ++counts.excepted;
      return;
    }
    ++counts.refused;
    // Where several fields are wrong, the order is another one.
    if (!path.empty() && line.verdict["m"].size() == 1)
      CHECK(without_indexes(decoded.error().operation) == usual_path(path));
    return;
  }
  const json& errors = line.verdict["e"];
  if (decoded) {
    for (const json& error : errors) {
      const std::string words = error[1].get<std::string>();
      const bool is_form = words.contains("must be in canonical form (") || words.contains("must not have leading 0s");
      const bool accepted_form = is_form && error[0].get<std::string>().starts_with("endpoints");
      CHECK((accepted_form || is_excepted(error[0].get<std::string>(), kNotRefused) || is_of_names(line.document)));
    }
    ++counts.excepted;
    return;
  }
  ++counts.refused;
  const std::string field = decoded.error().operation;
  const std::string cause = decoded.error().cause;
  const bool same = std::ranges::any_of(errors, [&](const json& error) {
    const std::string theirs = usual_path(error[0].get<std::string>());
    const bool same_field = is_same_field(theirs, field);
    const std::string words = error[1].get<std::string>();
    if (is_own_wording(cause)) return same_field && head_of(words).substr(0, 8) == head_of(cause).substr(0, 8);
    return same_field && words == cause;
  });
  CHECK((same || is_excepted(field, kRefusedHere)));
}

}  // namespace

TEST_CASE("what Kubernetes refuses is refused and what it accepts has its defaults") {
  Counts counts;
  each_line([&](const Line& line) {
    const auto decoded = decode_object(line.document);
    INFO(line.verdict.dump() + "\nhere: " + (decoded ? "accepted" : decoded.error().to_string()));
    if (line.verdict.contains("d") || line.verdict.contains("e")) return compare_refusal(line, decoded, counts);
    ++counts.accepted;
    if (!decoded) {
      CHECK(is_excepted(decoded.error().operation, kRefusedHere));
      return;
    }
    if (!decoded->object) {
      CHECK(line.fields["type"] == "FQDN");
      return;
    }
    const json fields = typed_fields(*decoded->object);
    for (const auto& [name, value] : fields.items()) {
      INFO(name);
      // A Service without a cluster IP has the families that the API server would give it with one.
      if (name == "families" && line.fields[name].is_null() && fields["clusterIPs"].empty()) continue;
      CHECK(value == as_read_here(name, line.fields[name]));
    }
  });
  CHECK(counts.refused > 7000);
  CHECK(counts.accepted > 1000);
  CHECK(counts.excepted < 400);
}
