#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/walk/statement.h"

/// nft's language as values: what its text and its JSON say, before anything is known of widths and byte orders.
namespace kubenatd::rules::walk::nft {

/// An expression, a constant or a set. What `text`, `name` and the numbers are depends on the kind.
struct Term {
  enum class Kind : std::uint8_t {
    kSymbol,      ///< `text`: a number, an address, a name
    kPrefix,      ///< parts[0] / number
    kRange,       ///< parts[0] - parts[1]
    kList,        ///< parts joined by commas: bits of one number
    kAny,         ///< "*"
    kSet,         ///< { parts }, each of them a kElement
    kElement,     ///< parts[0]; of a map parts[1] is the data. `text` is the comment
    kSetName,     ///< @text
    kConcat,      ///< parts
    kBinary,      ///< parts[0] `text` parts[1]: & | ^ << >>
    kPayload,     ///< text: protocol, name: field
    kRawPayload,  ///< text: "nh", number: offset and second: size, in bits
    kMeta,        ///< name
    kCt,          ///< name ("ip saddr"), text: direction
    kFib,         ///< name: result, words: saddr, iif, ...
    kSocket,      ///< name, number: level
    kRoute,       ///< name
    kOption,      ///< text: "tcp option", "ip option", "sctp chunk", "exthdr"; name; words: field, or none for presence
    kRawOption,   ///< the same text, number: type, second: offset, third: size in bits
    kDraw,        ///< text: random, inc, jhash, symhash; number: modulus, second: offset, name: seed; parts[0]: of what
    kMap,         ///< parts[0] is looked up in parts[1]
    kVerdict,
    kUnknown,  ///< `text`
  };
  Kind kind = Kind::kUnknown;
  std::string text, name;
  std::vector<std::string> words;
  std::uint64_t number = 0, second = 0, third = 0;
  std::vector<Term> parts;
  ToVerdict verdict;
  bool quoted = false;
  bool conditional = false;  ///< of an element: it holds a limit or the like

  [[nodiscard]] static Term of(Kind kind, std::string text = {}, std::vector<Term> parts = {}) {
    Term term;
    term.kind = kind;
    term.text = std::move(text);
    term.parts = std::move(parts);
    return term;
  }
  [[nodiscard]] static Term unknown(std::string text) { return of(Kind::kUnknown, std::move(text)); }
  [[nodiscard]] static Term symbol(std::string text) { return of(Kind::kSymbol, std::move(text)); }
};

/// One statement of a rule.
struct Clause {
  enum class Kind : std::uint8_t {
    kMatch,       ///< terms[0] `operation` terms[1]
    kVerdict,     ///< verdict
    kVerdictMap,  ///< terms[0] vmap terms[1]
    kChange,      ///< terms[0] set terms[1]
    kNat,         ///< `name`: dnat, snat, masquerade, redirect
    kReject,      ///< `name`: icmp, icmpv6, icmpx, tcp reset or nothing; terms[0]: the code
    kTproxy,
    kNoTrack,
    kSynproxy,
    kUpdate,     ///< `name`: the set, `operation`: add, update, delete; terms[0]: key, `detail`: a condition
    kNoEffect,   ///< log, counter, ...
    kUnjudged,   ///< limit, quota, ...
    kStolen,     ///< fwd
    kNever,      ///< no packet that begins a connection fits: flow add
    kObjectMap,  ///< terms[0] is looked up in terms[1] for a counter, quota, ...; `text`
    kCounter,    ///< numbers of packets and bytes; nothing else
    kNotKnown,   ///< not understood
  };
  Kind kind = Kind::kNotKnown;
  std::string text;  ///< as nft writes it, for people
  std::string operation;
  std::string name, detail;
  std::vector<Term> terms;
  ToVerdict verdict;
  // Of kNat and kTproxy.
  std::string family;               ///< "ip", "ip6" or nothing
  std::vector<Term> address, port;  ///< one, or none
  std::vector<std::string> flags;

  [[nodiscard]] static Clause of(Kind kind, std::string text = {}) {
    Clause clause;
    clause.kind = kind;
    clause.text = std::move(text);
    return clause;
  }
};

/// "limit rate over 10/second burst 5 packets": what nft leaves away is said, so that text and JSON are the same.
struct Limit {
  std::uint64_t rate = 0, burst = 0;
  std::string unit, burst_unit;  ///< of bytes: "bytes", "kbytes", "mbytes"
  std::string per;
  bool over = false;
};
[[nodiscard]] std::string text_of(const Limit& limit);
struct Quota {
  std::uint64_t count = 0;
  std::string unit;
  bool over = false;
};
[[nodiscard]] std::string text_of(const Quota& quota);

}  // namespace kubenatd::rules::walk::nft
