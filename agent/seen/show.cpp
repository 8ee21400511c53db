#include "agent/seen/show.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "agent/base/printable.h"
#include "agent/base/rfc3339.h"

namespace kubenatd::agent::seen {
namespace {

constexpr std::size_t kLongestText = 300;
/// Columns of a table of Services.
using Cells = std::vector<std::string>;

std::string shown(std::string_view text) {
  return base::one_line(text, kLongestText);
}

/// "12s", "5m", "3h", "2d", as kubectl has it; "?" when the times cannot be read.
std::string ago(const std::string& then, const std::string& now) {
  const auto begin = base::parse_rfc3339(then);
  const auto end = base::parse_rfc3339(now);
  if (!begin || !end) return "?";
  const auto seconds = std::max<std::int64_t>(std::chrono::floor<std::chrono::seconds>(*end - *begin).count(), 0);
  if (seconds < 120) return fmt::format("{}s", seconds);
  if (seconds < 7200) return fmt::format("{}m", seconds / 60);
  if (seconds < 172'800) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", seconds / 86'400);
}

/// A line of a list of names and values, with a blank between them however long the name is.
void line(std::string& text, std::string_view name, std::string_view value) {
  text += fmt::format("{:<16} {}\n", name, shown(value));
}

std::string joined(const std::vector<std::string>& parts, std::string_view otherwise) {
  return parts.empty() ? std::string(otherwise) : shown(fmt::format("{}", fmt::join(parts, ",")));
}

void add_family(std::string& text, const FamilyStatus& family, const std::string& now) {
  std::string value = family.last_sync ? fmt::format("in sync {} ago", ago(*family.last_sync, now)) : "not in sync yet";
  if (family.failing_since) value = fmt::format("syncs fail for {}", ago(*family.failing_since, now));
  value += fmt::format("; the last took {:.1f} ms", family.last_sync_seconds * 1000);
  if (family.last_write) value += fmt::format(", the last change was written {} ago", ago(*family.last_write, now));
  line(text, family.family, value);
  if (!family.error.empty()) line(text, "", family.error);
  std::string rules;
  for (const RuleCount& count : family.rules)
    rules += fmt::format("{}{} in {}", rules.empty() ? "" : ", ", count.rules, count.table);
  if (!rules.empty()) line(text, "  rules", rules);
  line(text, "  syncs", fmt::format("{}, failed {}", family.syncs, family.failed_syncs));
  line(text, "  drift",
       fmt::format("{} found, {} healed{}", family.drift_found, family.drift_healed,
                   family.last_drift ? fmt::format(", the last {} ago", ago(*family.last_drift, now)) : ""));
  if (!family.fast_path.empty())
    line(text, "  fast path", fmt::format("{} on {}", family.fast_path, joined(family.fast_path_devices, "no device")));
}

void add_sources(std::string& text, const Status& status) {
  line(text, "objects of", status.objects_of);
  for (const SourceStatus& source : status.sources) {
    std::string value = source.up ? fmt::format("up, {}", source.objects) : "not up to date";
    if (source.since) value += fmt::format(", for {}", ago(*source.since, status.now));
    if (!source.failure.empty()) value += ": " + source.failure;
    if (!source.absent.empty()) value = "not there: " + source.absent;
    line(text, "  " + source.resource, value);
  }
}

std::string endpoints_of(const ServiceRow& row) {
  std::vector<std::string> counts;
  for (const EndpointsOf& one : row.endpoints) counts.push_back(fmt::format("{}/{}", one.ready, one.all));
  if (std::ranges::adjacent_find(counts, std::not_equal_to<>()) == counts.end() && !counts.empty()) counts.resize(1);
  return joined(counts, "-");
}

std::string connections_of(const ServiceRow& row) {
  return row.new_connections ? fmt::format("{:.1f}", *row.new_connections) : "-";
}

std::string table(const std::vector<Cells>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Cells& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const Cells& row : rows) {
    std::string one;
    for (std::size_t i = 0; i + 1 < row.size(); ++i) one += fmt::format("{:<{}}", row[i], widths[i] + 3);
    text += one + row.back() + "\n";
  }
  return text;
}

void add_detail(std::string& text, const ServiceRow& row) {
  for (const PortRow& port : row.detail) {
    text += fmt::format("\nport {}{}{}: {}\n", shown(port.name), port.name.empty() ? "" : " ", port.family,
                        joined(port.frontends, "no frontend"));
    for (const EndpointRow& endpoint : port.endpoints) {
      const std::string_view state = endpoint.ready ? "ready" : endpoint.serving ? "ends, still serves" : "not ready";
      const std::string used = endpoint.used_by == "all"  ? "used"
                               : endpoint.used_by.empty() ? "not used on this node"
                                                          : "used by traffic policy " + shown(endpoint.used_by);
      text += fmt::format("  {:<28} {}, {}{}\n", shown(endpoint.address), state, used,
                          endpoint.here ? ", on this node" : "");
    }
    if (port.endpoints.empty()) text += "  no endpoint\n";
    if (port.more_endpoints != 0) text += fmt::format("  and {} more\n", port.more_endpoints);
  }
}

}  // namespace

std::string to_text(const Status& status) {
  std::string text;
  for (const std::string& problem : status.problems) text += "problem: " + shown(problem) + "\n";
  if (!text.empty()) text += "\n";
  line(text, "kubenatd",
       fmt::format("{}, mode {}, Linux {}", shown(status.version), shown(status.mode), shown(status.kernel)));
  line(text, "node", status.node);
  line(text, "runs for", ago(status.started, status.now));
  if (!status.ready) line(text, "waits for", status.waits_for);
  if (!status.owner.empty()) line(text, "table's owner", status.owner);
  line(text, "objects",
       fmt::format("{} Services, {} EndpointSlices, {} endpoints", status.objects.services,
                   status.objects.endpoint_slices, status.objects.endpoints));
  add_sources(text, status);
  for (const FamilyStatus& family : status.families) add_family(text, family, status.now);
  line(text, "refused", status.refused_objects == 0 ? "nothing" : fmt::to_string(status.refused_objects));
  for (const RefusedStatus& one : status.refused)
    line(text, "", fmt::format("{} {} {}: {}", one.family, one.kind, one.name, one.cause));
  line(text, "withheld", status.withheld_ports == 0 ? "nothing" : fmt::to_string(status.withheld_ports));
  for (const WithheldStatus& one : status.withheld) line(text, "", fmt::format("{} {}", one.family, one.text));
  return text;
}

std::string to_row(const Status& status) {
  // Of the family that is furthest behind.
  std::optional<std::string> oldest;
  bool fails = false;
  std::size_t healed = 0;
  for (const FamilyStatus& family : status.families) {
    healed += family.drift_healed;
    fails = fails || family.failing_since;
    if (family.last_sync && (!oldest || *family.last_sync < *oldest)) oldest = family.last_sync;
  }
  const std::string sync = fails ? "fails" : !status.ready || !oldest ? "never" : ago(*oldest, status.now);
  const auto down = std::ranges::count_if(status.sources, [](const auto& source) { return !source.failure.empty(); });
  std::string text = "NODE\tVERSION\tMODE\tKERNEL\tSERVICES\tSYNC\tHEALED\tREFUSED\tWITHHELD\tAPI\tPROBLEMS\n";
  text += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", shown(status.node), shown(status.version),
                      shown(status.mode), shown(status.kernel), status.objects.services, sync, healed,
                      status.refused_objects, status.withheld_ports,
                      status.sources.empty() ? "-"
                      : down == 0            ? "up"
                                             : "down",
                      status.problems.size());
  for (const std::string& problem : status.problems) text += shown(problem) + "\n";
  return text;
}

std::string to_text(const ServicesPage& page, Width width, const std::string& now) {
  const bool wide = width == Width::kWide;
  Cells header{"NAMESPACE", "NAME", "TYPE", "ADDRESSES", "PORTS", "READY", "CHANGED"};
  if (wide) header.insert(header.end(), {"EXTERNAL", "NEW/S", "DRIFT"});
  header.emplace_back("PROBLEMS");
  std::vector<Cells> rows{header};
  for (const ServiceRow& row : page.rows) {
    Cells cells{shown(row.ns),
                shown(row.name),
                shown(row.type),
                joined(row.addresses, "-"),
                joined(row.ports, "-"),
                row.not_served.empty() ? endpoints_of(row) : "-",
                row.changed ? ago(*row.changed, now) : "-"};
    if (wide) {
      cells.push_back(joined(row.external, "-"));
      cells.push_back(connections_of(row));
      cells.push_back(row.drift == 0 ? "-" : fmt::format("{} healed", row.drift));
    }
    std::vector<std::string> problems = row.problems;
    if (!wide && row.drift != 0) problems.push_back(fmt::format("healed {} times", row.drift));
    if (wide && !row.not_served.empty()) problems.push_back("not served: " + row.not_served);
    cells.push_back(problems.empty() ? "-" : shown(fmt::format("{}", fmt::join(problems, "; "))));
    rows.push_back(std::move(cells));
  }
  std::string text = table(rows);
  for (const ServiceRow& row : page.rows) add_detail(text, row);
  return text;
}

}  // namespace kubenatd::agent::seen
