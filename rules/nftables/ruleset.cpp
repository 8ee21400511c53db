#include "rules/nftables/ruleset.h"

#include <fmt/format.h>

#include <utility>

#include "rules/nftables/ruleset_sets.h"
#include "rules/nftables/ways.h"

namespace kubenatd::rules::nftables {
namespace {

using Kind = Operand::Kind;

constexpr Operand kSource{Kind::kSource};
constexpr Operand kDestination{Kind::kDestination};
constexpr Operand kProtocol{Kind::kProtocol};
constexpr Operand kPort{Kind::kPort};
constexpr Operand kPriority{Kind::kPriority};
constexpr Operand kFirstDestination{Kind::kFirstDestination};
constexpr Operand kFirstProtocol{Kind::kFirstProtocol};
constexpr Operand kFirstPort{Kind::kFirstPort};

// kube-proxy's priorities (v1.34 and later), so that the table stands to others' as its does.
constexpr std::int32_t kBeforeDnat = -110;
constexpr std::int32_t kDnat = -100;
constexpr std::int32_t kAfterDnat = -90;
constexpr std::int32_t kFilter = 0;
constexpr std::int32_t kSnat = 100;
/// Behind what others have at hook forward: they have judged a packet before its connection enters the flowtable.
constexpr std::int32_t kAfterFilters = 10000;

/// Draws from a whole range before the half of it is tried, and from that before the quarter is. With endpoints just
/// past the half, 2^-7 of the connections are left to the lower ones, and with endpoints just past the quarter
/// (3/4)^7 * 2^-4: no share is 1 % off. The smallest range has three endpoints or four, or a half that fits exactly.
constexpr int kWholeDraws = 7;
constexpr int kHalfDraws = 4;
constexpr int kSmallestWholeDraws = 4;
constexpr int kSmallestHalfDraws = 1;

constexpr Prefix kLoopback4{{Family::kIpv4, {127}}, 8};
constexpr Prefix kLoopback6{{Family::kIpv6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}, 128};

Key frontend(bool node_port) {
  if (node_port) return {kProtocol, kPort};
  return {kDestination, kProtocol, kPort};
}

Key with(Key key, Operand last) {
  key.push_back(last);
  return key;
}

/// Another for each draw: what missed once must not miss again for the same reason.
constexpr std::uint32_t seed_of(std::size_t level, std::size_t draw) {
  return kHashSeed + static_cast<std::uint32_t>(level * 64 + draw) * 0x9e3779b9U;
}

template <class... Statements>
NftRule rule(Statements&&... statements) {
  NftRule made;
  (made.statements.emplace_back(std::forward<Statements>(statements)), ...);
  return made;
}

template <class... Statements>
NftRule commented(std::string comment, Statements&&... statements) {
  NftRule made = rule(std::forward<Statements>(statements)...);
  made.comment = std::move(comment);
  return made;
}

GoTo go(std::string chain) {
  return {std::move(chain), false};
}

GoTo jump(std::string chain) {
  return {std::move(chain), true};
}

class Compiler {
 public:
  Compiler(const RulesetOptions& options, const InUse& in_use) : options_(options), in_use_(in_use) {}

  Ruleset compile() {
    out_.sets = compile_sets(options_, in_use_);
    remember_again();
    for (const Way& way : kWays) choices(way);
    entries();
    services();
    host_ports();
    checks();
    if (options_.fast_path != FastPath::kOff) fast_path();
    base_chains();
    return std::move(out_);
  }

 private:
  void chain(std::string name, std::vector<NftRule> rules) {
    out_.chains.push_back({std::move(name), Hook::kNone, false, 0, std::move(rules)});
  }
  void base(std::string name, Hook hook, bool nat, std::int32_t priority, std::vector<NftRule> rules) {
    out_.chains.push_back({std::move(name), hook, nat, priority, std::move(rules)});
  }

  /// In the priority is the service port's identity, which the chains above need once more.
  void remember_again() {
    std::vector<NftRule> rules;
    for (const std::uint32_t timeout : in_use_.timeouts)
      rules.push_back(rule(InSet{{kPriority}, {SetId::kTimeout, timeout}}, Remember{Remember::What::kAgain, timeout}));
    chain("remember-again", std::move(rules));
  }

  /// Draws an endpoint: from four numbers, or from more when there are more endpoints. A number without an endpoint is
  /// no match, and the next rule draws again; the last rule takes what is always there. Packets of UDP are given their
  /// number by a hash: two packets that a socket sends at once, each the first of the connection, go to one endpoint,
  /// else one of them is lost.
  void choices(const Way& way) {
    const Key key = frontend(way.node_port);
    for (const bool hashed : {false, true}) draws(way, hashed);
    // What the client is remembered for may be gone; then it draws as others do.
    const std::string remembered = fmt::format("remembered-{}", way.name);
    chain(remembered, {rule(SetPriority{key, {way.sticky}}, jump("remember-again")),
                       rule(RecallClient{}, Translate{with(key, kPriority), {way.endpoints}})});
    chain(way.name,
          {rule(SetPriority{key, {way.sticky}}, RecallClient{}, jump(remembered)),
           rule(HasProtocol{Protocol::kUdp}, go(draws_name(way, true, 0))), rule(go(draws_name(way, false, 0)))});
  }

  static std::string draws_name(const Way& way, bool hashed, std::size_t level) {
    return fmt::format("{}-{}{}", way.name, hashed ? "udp-" : "", kSizes[level]);
  }

  void draws(const Way& way, bool hashed) {
    const Key key = frontend(way.node_port);
    const std::uint32_t first = first_number(way.endpoints);
    const Translate translate{with(key, kPriority), {way.endpoints}};
    const std::size_t levels = in_use_.sizes[way.number()];
    for (std::size_t level = levels; level-- > 0;) {
      const std::uint32_t size = kSizes[level];
      std::vector<NftRule> rules;
      if (level + 1 < levels)
        rules.push_back(rule(InSet{key, {way.larger, size}}, go(draws_name(way, hashed, level + 1))));
      std::size_t made = 0;
      const auto draw = [&](std::uint32_t numbers, int times) {
        for (int i = 0; i < times; ++i, ++made)
          rules.push_back(
              rule(DrawNumber{numbers, first, hashed ? std::optional(seed_of(level, made)) : std::nullopt}, translate));
      };
      draw(size, level == 0 ? kSmallestWholeDraws : kWholeDraws);
      draw(size / 2, level == 0 ? kSmallestHalfDraws : kHalfDraws);
      if (level != 0) draw(size / 4, 1);
      rules.push_back(rule(FixPriority{first}, translate));
      chain(draws_name(way, hashed, level), std::move(rules));
    }
  }

  [[nodiscard]] ChangeMark mark() const { return {options_.node.masquerade_mark, false}; }

  /// The condition of the local detector, or nothing when no packet can meet it or every one does.
  [[nodiscard]] std::optional<Statement> from_pod(bool negate) const {
    if (!options_.node.local_detector) return std::nullopt;
    if (const auto* prefix = std::get_if<DetectByPrefix>(&*options_.node.local_detector)) {
      const bool everything = prefix->prefix.length == 0;
      if (prefix->prefix.address.family != options_.node.family || (everything && negate)) return std::nullopt;
      return InPrefix{prefix->prefix, true, negate};
    }
    const auto& interface = std::get<DetectByInterface>(*options_.node.local_detector);
    return FromInterface{interface.name, interface.is_prefix, negate};
  }

  /// What is done with a packet for a kind of service address before an endpoint is chosen.
  void entries() {
    std::vector<NftRule> cluster_ip;
    if (options_.node.masquerade_all) {
      cluster_ip.push_back(commented("masquerade all cluster IP traffic", mark()));
    } else if (const auto outside = from_pod(true)) {
      cluster_ip.push_back(commented("masquerade cluster IP traffic from outside the cluster", *outside, mark()));
    }
    cluster_ip.push_back(rule(go(kCluster.name)));
    chain("cluster-ip", std::move(cluster_ip));
    external("external", kCluster);
    external("nodeport", kNodePort);
    external_local("external-local", kCluster, kLocal);
    external_local("nodeport-local", kNodePort, kNodePortLocal);
  }

  void external(const char* name, const Way& way) { chain(name, {rule(mark()), rule(go(way.name))}); }

  void external_local(const char* name, const Way& everywhere, const Way& here) {
    std::vector<NftRule> rules;
    if (const auto pod = from_pod(false))
      rules.push_back(commented("pods reach endpoints on all nodes", *pod, go(everywhere.name)));
    rules.push_back(commented("and so does the node itself, masqueraded", IsLocal{true}, mark(), go(everywhere.name)));
    rules.push_back(rule(go(here.name)));
    chain(name, std::move(rules));
  }

  /// "on an address where NodePorts answer"
  [[nodiscard]] std::vector<Statement> to_node() const {
    if (options_.node.node_port_addresses) return {InSet{{kDestination}, {SetId::kNodePortAddresses}}};
    if (options_.node.localhost_node_ports) return {IsLocal{false}};
    return {IsLocal{false}, InPrefix{options_.node.family == Family::kIpv4 ? kLoopback4 : kLoopback6, false, true}};
  }

  [[nodiscard]] NftRule to_node_port(SetId set, Statement then) const {
    NftRule made;
    made.statements = to_node();
    made.statements.emplace_back(InSet{frontend(true), {set}});
    made.statements.push_back(std::move(then));
    return made;
  }

  void services() {
    chain("services", {rule(InSet{frontend(false), {SetId::kExternal}}, go("external")),
                       rule(InSet{frontend(false), {SetId::kExternalLocal}}, go("external-local")),
                       rule(InSet{{kDestination}, {SetId::kClusterIps}}, go("cluster-ip")),
                       to_node_port(SetId::kNodePorts, go("nodeport")),
                       to_node_port(SetId::kNodePortsLocal, go("nodeport-local"))});
  }

  /// Behind the Services, whatever they have left: as the portmap plugin's jumps stand to kube-proxy's.
  void host_ports() {
    chain("hostports", {rule(Translate{frontend(false), {SetId::kHostIpHostPorts}}),
                        rule(Translate{frontend(true), {SetId::kHostPorts}})});
  }

  void checks() {
    chain("no-endpoints", {rule(InSet{frontend(false), {SetId::kNoEndpoints}}, Reject{}),
                           rule(InSet{frontend(false), {SetId::kNoLocalEndpoints}}, Drop{})});
    chain("nodeports-no-endpoints", {to_node_port(SetId::kNodePortsNoEndpoints, Reject{}),
                                     to_node_port(SetId::kNodePortsNoLocalEndpoints, Drop{})});
    std::vector<NftRule> unused{commented("ports that no Service of the cluster IP has",
                                          InSet{{kDestination}, {SetId::kClusterIps}}, Reject{})};
    for (const Prefix& cidr : options_.service_cidrs)
      if (cidr.address.family == options_.node.family)
        unused.push_back(commented("cluster IPs that no Service has", InPrefix{cidr, false, false}, Drop{}));
    chain("unused-cluster-ips", std::move(unused));
    // Where a new connection has come to: what the priority was used for has been done. What it was before is not
    // kept: nothing is told of it once the packet is translated.
    const NftRule forget = rule(IsTranslated{}, HasPriority{kOwnMask, kOwn}, FixPriority{0});
    chain("arrived", {forget, rule(jump("nodeports-no-endpoints")), rule(go("no-endpoints"))});
    chain("leaving", {forget, rule(jump("no-endpoints")), rule(go("unused-cluster-ips"))});
  }

  /// route_localnet opens 127.0.0.0/8 to the neighbours (CVE-2020-8558); this closes it again. It is there always: the
  /// setting may be left from another mode or another configuration, and host ports have it made for their pods.
  [[nodiscard]] NftRule localhost_guard() const {
    NftRule guard = commented("nobody else reaches what is for localhost", InPrefix{kLoopback4, false, false},
                              FromInterface{"lo", false, true});
    // In a VRF localhost has another interface. With NodePorts there, a forged source must not come through either.
    if (!options_.node.localhost_node_ports) guard.statements.emplace_back(InPrefix{kLoopback4, true, true});
    guard.statements.emplace_back(Drop{});
    return guard;
  }

  /// Which service port with affinity a drawn number was for. The port is told from the connection: that nft knows its
  /// type needs the protocol before it (1.0.6).
  void clients() {
    std::vector<NftRule> rules;
    for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp, Protocol::kSctp})
      for (const Way& way : kWays) {
        Key key{kProtocol, kFirstPort};
        if (!way.node_port) key.insert(key.begin(), kFirstDestination);
        rules.push_back(rule(HasProtocol{protocol}, HasPriority{kDrawnFromMask, first_number(way.endpoints)},
                             SetPriority{std::move(key), {way.sticky}}));
      }
    chain("drawn-for", std::move(rules));
  }

  /// Connections to Services by what their first packet was for, which both directions share. What a NodePort is for is
  /// told by the address alone where the node answers at some of its addresses only; else another program's translation
  /// of the same port counts as well. The port needs the protocol before it, so that nft knows its type (1.0.6).
  void fast_path() {
    out_.flowtables.push_back({kFlowtable, 0});
    std::vector<NftRule> rules;
    for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
      if (protocol == Protocol::kUdp && options_.fast_path != FastPath::kTcpAndUdp) continue;
      rules.push_back(rule(HasProtocol{protocol}, InSet{{kFirstDestination}, {SetId::kClusterIps}}, AddToFlowtable{}));
      for (const SetId set : {SetId::kExternal, SetId::kExternalLocal})
        rules.push_back(
            rule(HasProtocol{protocol}, InSet{{kFirstDestination, kProtocol, kFirstPort}, {set}}, AddToFlowtable{}));
      for (const SetId set : {SetId::kNodePorts, SetId::kNodePortsLocal}) {
        NftRule node_port = rule(HasProtocol{protocol});
        if (options_.node.node_port_addresses)
          node_port.statements.emplace_back(InSet{{kFirstDestination}, {SetId::kNodePortAddresses}});
        node_port.statements.emplace_back(InSet{{kProtocol, kFirstPort}, {set}});
        node_port.statements.emplace_back(AddToFlowtable{});
        rules.push_back(std::move(node_port));
      }
    }
    chain("fast-path", std::move(rules));
    base("filter-forward-fast-path", Hook::kForward, false, kAfterFilters,
         {rule(IsEstablished{}, IsTranslated{}, HasMorePackets{kPacketsBeforeFastPath}, jump("fast-path"))});
  }

  /// The source ranges of load balancers: of all packets that have no answer yet, so that a range that is taken away
  /// ends flows of UDP that nobody answers.
  void firewall() {
    // Before meta l4proto in a set of ranges nft 1.0.6 puts a change of byte order, which Linux 6.12.117 refuses of a
    // single byte: it would not load what it lists.
    chain("firewall",
          {rule(InSet{frontend(false), {SetId::kFirewalled}},
                InSet{{kDestination, kFirstProtocol, kPort, kSource}, {SetId::kSourceRanges}, true}, Drop{})});
    const NftRule check = rule(IsNew{}, jump("firewall"));
    base("filter-prerouting-pre-dnat", Hook::kPrerouting, false, kBeforeDnat, {check});
    base("filter-output-pre-dnat", Hook::kOutput, false, kBeforeDnat, {check});
  }

  /// Behind the translation: clients that are to be remembered are those that have drawn an endpoint. What they were
  /// remembered for before has gone, if there was anything.
  void affinity() {
    clients();
    std::vector<NftRule> remember{rule(HasPriority{kDrawnMask, kDrawn}, jump("drawn-for"))};
    for (const std::uint32_t timeout : in_use_.timeouts)
      remember.push_back(rule(InSet{{kPriority}, {SetId::kTimeout, timeout}}, Remember{Remember::What::kNothing, 0},
                              Remember{Remember::What::kEndpoint, timeout}, FixPriority{kDrawn}));
    chain("remember", std::move(remember));
    const NftRule translated = rule(IsNew{}, IsTranslated{}, jump("remember"));
    base("filter-prerouting-post-dnat", Hook::kPrerouting, false, kAfterDnat, {translated});
    base("filter-output-post-dnat", Hook::kOutput, false, kAfterDnat, {translated});
  }

  /// Each chain of type filter costs every packet of every connection, one of type nat first packets alone. So of those
  /// there is one at a hook, with one rule, and the others come with what needs them.
  void base_chains() {
    if (in_use_.source_ranges) firewall();
    if (!in_use_.timeouts.empty()) affinity();
    const std::vector<NftRule> translate{rule(jump("services")), rule(IsLocal{false}, jump("hostports"))};
    base("nat-prerouting", Hook::kPrerouting, true, kDnat, translate);
    base("nat-output", Hook::kOutput, true, kDnat, translate);
    if (options_.node.family == Family::kIpv4) {
      // Before anybody's translation, unlike the guard of iptables mode: NodePorts on localhost are for the node alone.
      base("nat-prerouting-guard", Hook::kPrerouting, true, kBeforeDnat, {localhost_guard()});
      // What belongs to no connection is not shown to chains of type nat. Of what has one, no more than its state is
      // looked at: others may translate to localhost.
      chain("arrivals", {rule(IsNew{}, go("arrived")), localhost_guard()});
      base("filter-input", Hook::kInput, false, kFilter, {rule(IsNew{.strays = true}, jump("arrivals"))});
    } else {
      base("filter-input", Hook::kInput, false, kFilter, {rule(IsNew{}, jump("arrived"))});
    }
    const std::vector<NftRule> leave{rule(IsNew{}, jump("leaving"))};
    base("filter-forward", Hook::kForward, false, kFilter, leave);
    base("filter-output", Hook::kOutput, false, kFilter, leave);
    base("nat-postrouting", Hook::kPostrouting, true, kSnat,
         {rule(HasMark{options_.node.masquerade_mark}, ChangeMark{options_.node.masquerade_mark, true}, Masquerade{}),
          commented("a pod that reaches itself, or localhost that reaches a hostPort", IsTranslated{},
                    InSet{{kSource, kDestination}, {SetId::kHairpin}}, Masquerade{})});
  }

  const RulesetOptions& options_;
  const InUse& in_use_;
  Ruleset out_;
};

}  // namespace

Ruleset compile_ruleset(const RulesetOptions& options, const InUse& in_use) {
  return Compiler(options, in_use).compile();
}

}  // namespace kubenatd::rules::nftables
