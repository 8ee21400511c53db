#include "agent/explain/ingress_match.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <tuple>

#include "agent/base/printable.h"
#include "agent/explain/path_regex.h"

namespace kubenatd::agent::explain {
namespace {

using Type = objects::IngressPath::Type;

constexpr std::string_view kNginx = "nginx.ingress.kubernetes.io/";

/// 3: the same; 2: a wildcard for its first label; 1: any host; 0: another one.
int host_rank(std::string_view rule, std::string_view host) {
  if (rule.empty()) return 1;
  if (rule == host) return 3;
  if (!rule.starts_with("*.")) return 0;
  const auto dot = host.find('.');
  return dot != std::string_view::npos && dot != 0 && host.substr(dot) == rule.substr(1) ? 2 : 0;
}

/// A prefix of whole elements of the path: "/foo" fits "/foo/bar", not "/foobar".
bool has_prefix(std::string_view path, std::string_view prefix) {
  while (prefix.size() > 1 && prefix.ends_with('/')) prefix.remove_suffix(1);
  if (prefix == "/") return true;
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

const char* name_of_type(Type type) {
  switch (type) {
    case Type::kExact: return "Exact";
    case Type::kPrefix: return "Prefix";
    case Type::kImplementationSpecific: return "ImplementationSpecific";
  }
  return "";
}

std::string_view annotation(const objects::Ingress& ingress, std::string_view name) {
  const auto found = ingress.annotations.find(std::string(kNginx) + std::string(name));
  return found == ingress.annotations.end() ? std::string_view() : std::string_view(found->second);
}

std::vector<std::string_view> aliases_of(const objects::Ingress& ingress) {
  std::vector<std::string_view> aliases;
  std::string_view rest = annotation(ingress, "server-alias");
  while (!rest.empty()) {
    const auto comma = rest.find(',');
    if (const std::string_view one = base::trimmed(rest.substr(0, comma)); !one.empty()) aliases.push_back(one);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  return aliases;
}

/// One path of a rule whose host the request has.
struct Candidate {
  const objects::Ingress* ingress = nullptr;
  const objects::IngressRule* rule = nullptr;
  const objects::IngressPath* path = nullptr;
  bool is_nginx = false;
};

/// nginx's own: a location, made of a path.
struct Location {
  std::string pattern;
  const Candidate* of = nullptr;
};

class Matcher {
 public:
  Matcher(const Inventory& inventory, const std::string& host, const std::string& path)
      : inventory_(inventory), host_(host), path_(path) {}

  IngressMatch match() {
    collect();
    const bool regex = std::ranges::any_of(
        candidates_, [](const Candidate& one) { return one.is_nginx && (uses_regex(*one.ingress) || rewrites(one)); });
    for (const Candidate& one : candidates_)
      if (!one.is_nginx || !regex) consider(one);
    if (regex) consider_expressions();
    for (const objects::Ingress* ingress : inventory_.all<objects::Ingress>())
      if (ingress->default_backend)
        offer({0, 0, 1}, {.ingress = ingress,
                          .backend = &*ingress->default_backend,
                          .host = {},
                          .path = {},
                          .path_type = "DefaultBackend",
                          .ingress_class = nullptr,
                          .doubts = {}});
    best_.doubts = std::move(doubts_);
    if (best_.ingress != nullptr) {
      best_.ingress_class = class_of(inventory_, *best_.ingress);
      add_annotations(*best_.ingress);
    }
    return std::move(best_);
  }

 private:
  using Rank = std::tuple<int, int, std::size_t>;  ///< host, kind, length

  static bool uses_regex(const objects::Ingress& ingress) { return annotation(ingress, "use-regex") == "true"; }
  static bool rewrites(const Candidate& one) {
    const std::string_view target = annotation(*one.ingress, "rewrite-target");
    return !target.empty() && target != one.path->path;
  }

  int rank_of(const objects::Ingress& ingress, const objects::IngressRule& rule, bool is_nginx) {
    int rank = host_rank(rule.host, host_);
    if (!is_nginx || rule.host.empty()) return rank;
    for (const std::string_view alias : aliases_of(ingress)) {
      if (alias.starts_with('~')) {
        doubts_.push_back(fmt::format("{}: server-alias {}", ingress.key.to_string(), base::in_quotes(alias)));
        continue;
      }
      rank = std::max(rank, host_rank(alias, host_));
    }
    return rank;
  }

  void collect() {
    for (const objects::Ingress* ingress : inventory_.all<objects::Ingress>()) {
      const bool is_nginx = is_of_ingress_nginx(inventory_, *ingress);
      for (const objects::IngressRule& rule : ingress->rules) {
        if (rule.paths.empty()) continue;
        const int rank = rank_of(*ingress, rule, is_nginx);
        if (rank != 0 && is_nginx && annotation(*ingress, "canary") == "true") {
          add_canary(*ingress, rule);
          continue;
        }
        if (rank == 0 || rank < host_rank_) continue;
        if (rank > host_rank_) candidates_.clear();
        host_rank_ = rank;
        for (const objects::IngressPath& path : rule.paths) candidates_.push_back({ingress, &rule, &path, is_nginx});
      }
    }
  }

  /// It has no requests of its own, but a share of those of another Ingress.
  void add_canary(const objects::Ingress& ingress, const objects::IngressRule& rule) {
    for (const objects::IngressPath& path : rule.paths)
      if (has_prefix(path_, path.path))
        return doubt({&ingress, &rule, &path, true}, "as a canary it gets some of the requests");
  }

  void offer(Rank rank, IngressMatch match) {
    if (rank <= best_rank_) return;
    best_rank_ = rank;
    best_ = std::move(match);
  }
  void offer(const Candidate& one, int kind, std::size_t length) {
    offer({host_rank_, kind, length}, {.ingress = one.ingress,
                                       .backend = &one.path->backend,
                                       .host = one.rule->host,
                                       .path = one.path->path,
                                       .path_type = name_of_type(one.path->type),
                                       .ingress_class = nullptr,
                                       .doubts = {}});
  }
  void doubt(const Candidate& one, std::string_view why) {
    doubts_.push_back(fmt::format("{}: {}{} ({}): {}", one.ingress->key.to_string(),
                                  one.rule->host.empty() ? "*" : base::one_line(one.rule->host),
                                  base::one_line(one.path->path), name_of_type(one.path->type), why));
  }

  void consider(const Candidate& one) {
    constexpr int kPrefix = 1;
    constexpr int kExact = 2;
    const std::string& wanted = one.path->path;
    switch (one.path->type) {
      case Type::kExact:
        if (wanted == path_) offer(one, kExact, wanted.size());
        return;
      case Type::kPrefix:
        if (has_prefix(path_, wanted)) offer(one, kPrefix, wanted.size());
        return;
      case Type::kImplementationSpecific: break;
    }
    if (one.is_nginx) {
      if (path_.starts_with(wanted)) offer(one, kPrefix, wanted.size());
      return;
    }
    const bool is_plain = std::ranges::all_of(wanted, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '-' ||
             c == '_' || c == '.';
    });
    if (is_plain && wanted == path_) return offer(one, kPrefix, wanted.size());
    if (!is_plain || has_prefix(path_, wanted) || path_.starts_with(wanted))
      doubt(one, "its controller has ways of its own to read this path");
    if (is_plain && has_prefix(path_, wanted)) offer(one, kPrefix, wanted.size());
  }

  /// All paths of the host as regular expressions; the longest is tried first, and the first that fits counts.
  void consider_expressions() {
    std::vector<Location> locations;
    const auto is_taken = [&](const std::string& path) {
      return std::ranges::any_of(candidates_, [&](const Candidate& one) {
        return one.is_nginx && one.path->type == Type::kExact && one.path->path == path;
      });
    };
    for (const Candidate& one : candidates_) {
      if (!one.is_nginx) continue;
      std::string path = one.path->path;
      const bool is_split =
          one.path->type == Type::kPrefix && path != "/" && !uses_regex(*one.ingress) && !rewrites(one);
      if (is_split) {
        while (path.ends_with('/')) path.pop_back();
        if (!is_taken(path)) locations.push_back({path, &one});
        path += '/';
      }
      locations.push_back({std::move(path), &one});
    }
    std::ranges::stable_sort(locations, [](const Location& one, const Location& other) {
      return std::pair(one.pattern.size(), std::string_view(one.pattern)) >
             std::pair(other.pattern.size(), std::string_view(other.pattern));
    });
    for (const Location& one : locations) {
      const RegexAnswer answer = fits_at_start(one.pattern, path_);
      if (answer == RegexAnswer::kUnknown) doubt(*one.of, "a regular expression of a kind that is not known here");
      if (answer != RegexAnswer::kFits) continue;
      return offer(*one.of, 1, one.pattern.size());
    }
  }

  /// Annotations that give the request to somebody else, or answer it themselves.
  void add_annotations(const objects::Ingress& ingress) {
    constexpr std::string_view kDecide[] = {
        "server-snippet", "configuration-snippet",  "permanent-redirect",    "temporal-redirect", "auth-url",
        "auth-type",      "whitelist-source-range", "denylist-source-range", "app-root"};
    constexpr std::string_view kWords[] = {
        "regex",  "rule",   "path",   "alias",  "match",  "condition", "action",    "snippet", "redirect", "rewrite",
        "canary", "method", "header", "router", "server", "auth",      "whitelist", "allow",   "deny"};
    const bool is_nginx = is_of_ingress_nginx(inventory_, ingress);
    for (const auto& [name, value] : ingress.annotations) {
      if (value.empty()) continue;
      const bool is_nginx_name = name.starts_with(kNginx);
      const std::string_view rest = std::string_view(name).substr(std::min(name.find('/') + 1, name.size()));
      const bool decides = is_nginx ? is_nginx_name && std::ranges::find(kDecide, rest) != std::end(kDecide) &&
                                          (rest != "app-root" || path_ == "/")
                                    : !is_nginx_name && std::ranges::any_of(kWords, [&](std::string_view word) {
                                        return rest.find(word) != std::string_view::npos;
                                      });
      if (decides)
        best_.doubts.push_back(fmt::format("{}: annotation {}", ingress.key.to_string(), base::one_line(name)));
    }
  }

  const Inventory& inventory_;
  const std::string& host_;
  const std::string& path_;
  std::vector<Candidate> candidates_;
  int host_rank_ = 0;
  Rank best_rank_{0, 0, 0};
  IngressMatch best_;
  std::vector<std::string> doubts_;
};

}  // namespace

IngressMatch match_ingress(const Inventory& inventory, const std::string& host, const std::string& path) {
  return Matcher(inventory, host, path).match();
}

const objects::IngressClass* class_of(const Inventory& inventory, const objects::Ingress& ingress) {
  if (!ingress.class_name.empty()) return inventory.find<objects::IngressClass>({"", ingress.class_name});
  for (const objects::IngressClass* one : inventory.all<objects::IngressClass>())
    if (one->is_default) return one;
  return nullptr;
}

bool is_of_ingress_nginx(const Inventory& inventory, const objects::Ingress& ingress) {
  const objects::IngressClass* ingress_class = class_of(inventory, ingress);
  if (ingress_class != nullptr) return ingress_class->controller == "k8s.io/ingress-nginx";
  // By annotation it needs no object of that name.
  return ingress.class_by_annotation && ingress.class_name == "nginx";
}

}  // namespace kubenatd::agent::explain
