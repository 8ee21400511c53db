#include "test/server/api_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <thread>

namespace kubenatd::test {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kGlance{5};
constexpr std::size_t kPage = 100;

const std::string& path_of(const std::string& kind) {
  if (kind == "Service") return kServicesPath;
  if (kind == "EndpointSlice") return kSlicesPath;
  if (kind == "Node") return kNodesPath;
  if (kind == "Pod") return kPodsPath;
  throw std::runtime_error("no such kind: " + kind);
}

std::string_view kind_of(const std::string& path) {
  return path == kServicesPath ? "Service"
         : path == kSlicesPath ? "EndpointSlice"
         : path == kNodesPath  ? "Node"
                               : "Pod";
}

std::string name_of(const json& object) {
  return object.at("metadata").at("name");
}

json status(int code, const std::string& reason) {
  return {{"kind", "Status"}, {"apiVersion", "v1"}, {"status", "Failure"},
          {"code", code},     {"reason", reason},   {"message", "said by the test"}};
}

std::string line_of(const std::string& type, const json& object) {
  return json{{"type", type}, {"object", object}}.dump();
}

std::string node_of(const json& object) {
  return object.value(json::json_pointer("/spec/nodeName"), "");
}

/// What a field selector asks for; empty: any.
struct Selector {
  explicit Selector(const Ask& ask) : name(value(ask, "metadata.name=")), node(value(ask, "spec.nodeName=")) {}
  std::string name, node;
  [[nodiscard]] bool takes(const std::string& of_name, const std::string& of_node) const {
    return (name.empty() || name == of_name) && (node.empty() || node == of_node);
  }

 private:
  static std::string value(const Ask& ask, const std::string& prefix) {
    const auto found = ask.query.find("fieldSelector");
    return found != ask.query.end() && found->second.starts_with(prefix) ? found->second.substr(prefix.size()) : "";
  }
};

}  // namespace

ApiServer::ApiServer(Options options) : options_(std::move(options)), token_(options_.token) {
  home_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  start();
}

ApiServer::~ApiServer() {
  server_.reset();
  ::close(home_);
}

void ApiServer::start() {
  server_ = std::make_unique<ScriptedServer>(options_.tls, false, port_);
  port_ = server_->port();
  server_->always([this](Reply& reply) { answer(reply); });
}

void ApiServer::set_certificate(const KeyPair& own) {
  options_.tls.value().own = own;
}

std::string ApiServer::url() const {
  return fmt::format("{}://127.0.0.1:{}", options_.tls ? "https" : "http", port_);
}

void ApiServer::go_away() {
  server_.reset();
}

void ApiServer::come_back() {
  // The caller may be elsewhere by now.
  std::thread([this] {
    if (::setns(home_, CLONE_NEWNET) == 0) start();
  }).join();
  if (!server_) throw std::runtime_error("the server does not find back into its namespace");
}

void ApiServer::put(json object) {
  const std::string& path = path_of(object.at("kind"));
  const std::scoped_lock lock(mutex_);
  const Key key{object["metadata"].value("namespace", ""), name_of(object)};
  const bool known = objects_[path].contains(key);
  record(path, known ? "MODIFIED" : "ADDED", object);
  objects_[path][key] = std::move(object);
}

void ApiServer::remove(const std::string& path, const std::string& name_space, const std::string& name) {
  const std::scoped_lock lock(mutex_);
  const auto found = objects_[path].find({name_space, name});
  if (found == objects_[path].end()) return;
  record(path, "DELETED", found->second);
  objects_[path].erase(found);
}

void ApiServer::record(const std::string& path, const std::string& type, const json& object) {
  json told = object;
  told["metadata"]["resourceVersion"] = std::to_string(++version_);
  changes_.push_back({version_, path, type, line_of(type, told), name_of(object), node_of(object)});
  if (options_.history == 0 || changes_.size() <= options_.history) return;
  oldest_ = std::max(oldest_, changes_.front().version);
  changes_.pop_front();
  ++dropped_;
}

std::string ApiServer::manifest() const {
  const std::scoped_lock lock(mutex_);
  json list = {{"kind", "List"}, {"apiVersion", "v1"}, {"items", json::array()}};
  for (const auto& [path, objects] : objects_)
    for (const auto& [key, object] : objects) list["items"].push_back(object);
  return list.dump();
}

void ApiServer::hold(const std::string& path, bool hold) {
  const std::scoped_lock lock(mutex_);
  if (hold) {
    held_.insert(path);
  } else {
    held_.erase(path);
  }
}

void ApiServer::set_token(const std::string& token) {
  const std::scoped_lock lock(mutex_);
  token_ = token;
}

void ApiServer::cut() {
  const std::scoped_lock lock(mutex_);
  ++cuts_;
}

void ApiServer::forget_history() {
  const std::scoped_lock lock(mutex_);
  oldest_ = ++version_;
}

void ApiServer::say(const std::string& path, const std::string& line) {
  const std::scoped_lock lock(mutex_);
  changes_.push_back({++version_, path, "", line, "", ""});
}

void ApiServer::set_trouble(std::function<bool(Reply&)> trouble) {
  const std::scoped_lock lock(mutex_);
  trouble_ = std::move(trouble);
}

std::size_t ApiServer::requests(const std::string& path) const {
  const std::scoped_lock lock(mutex_);
  const auto found = requests_.find(path);
  return found == requests_.end() ? 0 : found->second;
}

std::size_t ApiServer::watches(const std::string& path) const {
  const std::scoped_lock lock(mutex_);
  const auto found = watches_.find(path);
  return found == watches_.end() ? 0 : found->second;
}

std::vector<json> ApiServer::events() const {
  const std::scoped_lock lock(mutex_);
  return events_;
}

void ApiServer::answer(Reply& reply) {
  std::function<bool(Reply&)> trouble;
  bool known = false;
  bool let_in = false;
  {
    const std::scoped_lock lock(mutex_);
    ++requests_[reply.ask.path];
    trouble = trouble_;
    known = reply.ask.path == kServicesPath || reply.ask.path == kSlicesPath || reply.ask.path == kNodesPath ||
            (options_.pods && reply.ask.path == kPodsPath);
    const auto shown = reply.ask.headers.find("authorization");
    let_in = token_.empty() || (shown != reply.ask.headers.end() && shown->second == "Bearer " + token_);
  }
  if (trouble && trouble(reply)) return;
  if (!let_in) return reply.answer(401, status(401, "Unauthorized").dump());
  if (reply.ask.method == "POST") return take_event(reply);
  if (!known) return reply.answer(404, status(404, "NotFound").dump());
  if (reply.ask.has("sendInitialEvents") && !options_.streamed_lists)
    return reply.answer(422, status(422, "Invalid").dump());
  const auto held = [&] {
    const std::scoped_lock lock(mutex_);
    return held_.contains(reply.ask.path);
  };
  if (!reply.ask.has("watch") || reply.ask.has("sendInitialEvents"))
    while (held())
      if (!reply.pause(kGlance)) return;
  if (reply.ask.has("watch")) {
    watch(reply);
  } else {
    list(reply);
  }
}

std::vector<json> ApiServer::selected(const Ask& ask) const {
  std::vector<json> found;
  const auto objects = objects_.find(ask.path);
  if (objects == objects_.end()) return found;
  const Selector selector(ask);
  for (const auto& [key, object] : objects->second) {
    if (!selector.takes(key.second, node_of(object))) continue;
    found.push_back(object);
    found.back()["metadata"]["resourceVersion"] = std::to_string(version_);
  }
  return found;
}

void ApiServer::list(Reply& reply) {
  std::string text;
  {
    const std::scoped_lock lock(mutex_);
    std::vector<json> items = selected(reply.ask);
    const std::size_t from = reply.ask.has("continue") ? std::stoul(reply.ask.query.at("continue")) : 0;
    const std::size_t to = std::min(items.size(), from + kPage);
    json metadata = {{"resourceVersion", std::to_string(version_)}};
    if (to < items.size()) metadata["continue"] = std::to_string(to);
    text = fmt::format(R"({{"kind":"{}List","apiVersion":"{}","metadata":{},"items":[)", kind_of(reply.ask.path),
                       reply.ask.path == kSlicesPath ? "discovery.k8s.io/v1" : "v1", metadata.dump());
    for (std::size_t i = from; i < to; ++i) text += (i == from ? "" : ",") + items[i].dump();
    text += "]}";
  }
  reply.answer(200, text);
}

void ApiServer::watch(Reply& reply) {
  const std::string& path = reply.ask.path;
  const Selector selector(reply.ask);
  std::vector<std::string> lines;
  std::uint64_t at = 0;
  std::uint64_t cuts = 0;
  std::size_t next = 0;  ///< change, counted from the first one ever
  bool gone = false;
  {
    const std::scoped_lock lock(mutex_);
    cuts = cuts_;
    if (reply.ask.has("sendInitialEvents")) {
      for (const json& object : selected(reply.ask)) lines.push_back(line_of("ADDED", object));
      json end = {{"kind", "Object"}, {"apiVersion", "v1"}};
      end["metadata"] = {{"resourceVersion", std::to_string(version_)},
                         {"annotations", {{"k8s.io/initial-events-end", "true"}}}};
      lines.push_back(line_of("BOOKMARK", end));
      at = version_;
      next = dropped_ + changes_.size();
    } else {
      at = std::stoull(reply.ask.query.at("resourceVersion"));
      gone = at < oldest_;
    }
    ++watches_[path];
  }
  reply.begin();
  if (gone) {
    reply.line(line_of("ERROR", status(410, "Expired")));
    reply.end();
  }
  bool open = !gone;
  while (open) {
    for (const std::string& line : lines) reply.line(line);
    lines.clear();
    {
      const std::scoped_lock lock(mutex_);
      const bool too_slow = next < dropped_ && next != 0;
      next = std::max(next, dropped_);
      for (; next < dropped_ + changes_.size(); ++next) {
        const Change& change = changes_[next - dropped_];
        if (change.path == path && change.version > at &&
            (change.name.empty() || selector.takes(change.name, change.node)))
          lines.push_back(change.text);
      }
      if (cuts != cuts_ || too_slow) {
        reply.cut();
        break;
      }
    }
    if (lines.empty()) open = reply.pause(kGlance);
  }
  const std::scoped_lock lock(mutex_);
  --watches_[path];
}

void ApiServer::take_event(Reply& reply) {
  {
    const std::scoped_lock lock(mutex_);
    events_.push_back(json::parse(reply.ask.body, nullptr, false));
  }
  reply.answer(201, reply.ask.body);
}

}  // namespace kubenatd::test
