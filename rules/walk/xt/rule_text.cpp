#include "rules/walk/xt/rule_text.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "rules/walk/xt/matches.h"
#include "rules/walk/xt/option.h"
#include "rules/walk/xt/words.h"

namespace kubenatd::rules::walk::xt {
namespace {

/// One letter for an option of the header, also in its long form.
enum class Header : char {
  kNone = 0,
  kSource = 's',
  kDestination = 'd',
  kInInterface = 'i',
  kOutInterface = 'o',
  kProtocol = 'p',
  kFragment = 'f',
  kMatch = 'm',
  kJump = 'j',
  kGoto = 'g',
  kCounters = 'c',
};

Header header_of(const Word& word) {
  constexpr std::pair<std::string_view, Header> kLong[] = {{"--source", Header::kSource},
                                                           {"--src", Header::kSource},
                                                           {"--destination", Header::kDestination},
                                                           {"--dst", Header::kDestination},
                                                           {"--in-interface", Header::kInInterface},
                                                           {"--out-interface", Header::kOutInterface},
                                                           {"--protocol", Header::kProtocol},
                                                           {"--proto", Header::kProtocol},
                                                           {"--fragment", Header::kFragment},
                                                           {"--fragments", Header::kFragment},
                                                           {"--match", Header::kMatch},
                                                           {"--jump", Header::kJump},
                                                           {"--goto", Header::kGoto},
                                                           {"--set-counters", Header::kCounters}};
  const std::string_view text = word.text;
  if (word.quoted || !text.starts_with('-')) return Header::kNone;
  if (text.size() == 2)
    return std::string_view("sdiopfmjgc").contains(text[1]) ? static_cast<Header>(text[1]) : Header::kNone;
  const auto* found = std::ranges::find(kLong, text, &std::pair<std::string_view, Header>::first);
  return found == std::end(kLong) ? Header::kNone : found->second;
}

bool is_option(const Word& word) {
  return !word.quoted && word.text.starts_with("--");
}

/// Reads the words of one rule from left to right.
class Reader {
 public:
  Reader(std::string_view text, Family family, const std::function<bool(std::string_view)>& is_chain)
      : text_(text), words_(split_words(text)), is_chain_(is_chain), family_(family) {}

  [[nodiscard]] WalkRule read() {
    while (at_ < words_.size()) part();
    require_protocol();
    // iptables takes -j anywhere; what it does comes behind all conditions.
    std::ranges::move(actions_, std::back_inserter(parts_.statements));
    WalkRule rule;
    rule.statements = std::move(parts_.statements);
    rule.text = text_;
    rule.comment = std::move(parts_.comment);
    rule.model = std::move(parts_.model);
    return rule;
  }

 private:
  void part() {
    const std::size_t begin = at_;
    // "!" belongs to the option after it.
    const bool negate = words_[at_].is("!") && at_ + 1 < words_.size();
    if (negate) ++at_;
    const Header header = header_of(words_[at_]);
    if (header == Header::kMatch && !negate) return match(begin);
    if ((header == Header::kJump || header == Header::kGoto) && !negate) return target(begin, header == Header::kGoto);
    if (header == Header::kNone || header == Header::kMatch || header == Header::kJump || header == Header::kGoto) {
      // As people write it: -p tcp --dport 80, without -m tcp.
      const Form* form = form_of_protocol();
      if (form != nullptr && is_option(words_[at_]) && form->option(words_[at_].text) != nullptr) {
        at_ = begin;
        return match_options(*form, begin);
      }
      ++at_;
      skip_to_next();
      return unjudged(begin, Part::kOther);
    }
    if (header == Header::kFragment) {
      ++at_;
      parts_.model.reset();
      if (family_ == Family::kIpv6) return unjudged(begin, Part::kOther);
      return parts_.statements.push_back(fragment(negate));
    }
    if (header == Header::kCounters) {
      at_ = std::min(at_ + 3, words_.size());
      if (negate) unjudged(begin, Part::kOther);
      return;
    }
    header_with_value(begin, header, negate);
  }

  // The header.

  void header_with_value(std::size_t begin, Header header, bool negate) {
    ++at_;
    // "-s ! 10.0.0.0/8", as iptables wrote it before 1.4.3.
    const bool old_form = at_ + 1 < words_.size() && words_[at_].is("!");
    if (old_form) ++at_;
    if (at_ >= words_.size()) return unjudged(begin, part_of(header));
    const std::string_view value = words_[at_++].text;
    if ((old_form && negate) || !take_header(header, value, negate || old_form)) unjudged(begin, part_of(header));
  }

  static Part part_of(Header header) {
    switch (header) {
      case Header::kSource: return Part::kSource;
      case Header::kDestination: return Part::kDestination;
      case Header::kInInterface: return Part::kInInterface;
      case Header::kOutInterface: return Part::kOutInterface;
      case Header::kProtocol: return Part::kProtocol;
      default: return Part::kOther;
    }
  }

  bool take_header(Header header, std::string_view value, bool negate) {
    switch (header) {
      case Header::kSource:
      case Header::kDestination: return take_address(header == Header::kSource, value, negate);
      case Header::kInInterface:
      case Header::kOutInterface: return take_interface(header == Header::kInInterface, value, negate);
      default: return take_protocol(value, negate);
    }
  }

  bool take_address(bool is_source, std::string_view value, bool negate) {
    const auto block = read_masked_address(value, family_);
    if (!block) return false;
    auto no_model = std::optional<AddressMatch>();
    auto& in_model = !parts_.model ? no_model : is_source ? parts_.model->source : parts_.model->destination;
    if (in_model) return false;  // twice
    if (!block->prefix) {
      parts_.model.reset();
      parts_.statements.push_back(address_masked(is_source, block->address, block->mask, negate));
      return true;
    }
    if (block->prefix->length == 0 && !negate) return true;
    in_model = AddressMatch{*block->prefix, negate};
    parts_.statements.push_back(is_source ? source(*block->prefix, negate) : destination(*block->prefix, negate));
    return true;
  }

  bool take_interface(bool is_in, std::string_view value, bool negate) {
    const bool prefix = value.ends_with('+');
    if (prefix) value.remove_suffix(1);
    if (value.empty() && !prefix) return false;
    if (value.empty() && !negate) return true;
    if (parts_.model)
      (is_in ? parts_.model->in_interface : parts_.model->out_interface) =
          InterfaceMatch{std::string(value), prefix, negate};
    parts_.statements.push_back(is_in ? in_interface(value, prefix, negate) : out_interface(value, prefix, negate));
    return true;
  }

  bool take_protocol(std::string_view value, bool negate) {
    const auto number = read_protocol(value);
    if (!number || parts_.protocol != 0) return false;
    if (*number == 0) return !negate;
    parts_.protocol = *number;
    parts_.protocol_negated = negate;
    const auto known = static_cast<Protocol>(*number);
    if (!name_of(known).empty() && !negate) {
      if (parts_.model) parts_.model->protocol = known;
    } else {
      parts_.model.reset();
    }
    parts_.statements.push_back(protocol(*number, family_, negate));
    return true;
  }

  /// -m tcp asks for tcp by itself, whether -p is there or not.
  void require_protocol() {
    if (parts_.needs_protocol == 0 || (parts_.needs_protocol == parts_.protocol && !parts_.protocol_negated)) return;
    parts_.model.reset();
    parts_.statements.insert(parts_.statements.begin(), protocol(parts_.needs_protocol, family_, false));
  }

  // -m and -j.

  const Form* form_of_protocol() const {
    if (parts_.protocol == 0 || parts_.protocol_negated) return nullptr;
    constexpr std::pair<std::uint8_t, std::string_view> kNames[] = {{6, "tcp"},  {17, "udp"},   {132, "sctp"},
                                                                    {1, "icmp"}, {58, "icmp6"}, {33, "dccp"}};
    const auto* found = std::ranges::find(kNames, parts_.protocol, &std::pair<std::uint8_t, std::string_view>::first);
    return found == std::end(kNames) ? nullptr : match_form(found->second);
  }

  void match(std::size_t begin) {
    ++at_;
    if (at_ >= words_.size()) return unjudged(begin, Part::kOther);
    const Form* form = match_form(words_[at_++].text);
    if (form == nullptr) {
      skip_to_next();
      return unjudged(begin, Part::kOther);
    }
    match_options(*form, begin);
  }

  void match_options(const Form& form, std::size_t begin) {
    std::vector<Option> options;
    const bool good = take_options(form, options);
    const std::size_t statements = parts_.statements.size();
    if (good && form.read({family_, form.name, options, text_of(begin)}, parts_)) return;
    parts_.statements.resize(statements);
    unjudged(begin, form.part);
  }

  void target(std::size_t begin, bool is_goto) {
    const std::size_t conditions = parts_.statements.size();
    read_target(begin, is_goto);
    const auto first = parts_.statements.begin() + static_cast<std::ptrdiff_t>(conditions);
    std::move(first, parts_.statements.end(), std::back_inserter(actions_));
    parts_.statements.erase(first, parts_.statements.end());
  }

  void read_target(std::size_t begin, bool is_goto) {
    ++at_;
    const bool second = std::exchange(has_target_, true);
    if (at_ >= words_.size() || second) {
      skip_to_next();
      return other(begin, {});
    }
    const std::string_view name = words_[at_++].text;
    if (verdict(name)) return;
    if (is_goto || is_chain_(name)) {
      if (parts_.model) parts_.model->target = Jump{std::string(name), is_goto};
      parts_.statements.emplace_back(ToVerdict{is_goto ? Verdict::kGoto : Verdict::kJump, std::string(name)});
      return;
    }
    const Form* form = target_form(name);
    if (form == nullptr) {
      skip_to_next();
      return other(begin, name);
    }
    std::vector<Option> options;
    const bool good = take_options(*form, options);
    const std::size_t statements = parts_.statements.size();
    if (good && form->read({family_, form->name, options, text_of(begin)}, parts_)) return;
    parts_.statements.resize(statements);
    other(begin, name);
  }

  bool verdict(std::string_view name) {
    constexpr std::tuple<std::string_view, Verdict, rules::Verdict> kVerdicts[] = {
        {"ACCEPT", Verdict::kAccept, rules::Verdict::kAccept},
        {"DROP", Verdict::kDrop, rules::Verdict::kDrop},
        {"RETURN", Verdict::kReturn, rules::Verdict::kReturn}};
    for (const auto& [known, verdict, in_model] : kVerdicts) {
      if (name != known) continue;
      if (parts_.model) parts_.model->target = in_model;
      parts_.statements.emplace_back(ToVerdict{verdict, {}});
      return true;
    }
    return false;
  }

  /// The options of a match or target whose forms are known. False: something else is among them, an option is there
  /// twice, or its value is missing; then `at_` is behind all of it.
  bool take_options(const Form& form, std::vector<Option>& options) {
    while (at_ < words_.size()) {
      const std::size_t begin = at_;
      const bool negate = words_[at_].is("!") && at_ + 1 < words_.size();
      if (negate) ++at_;
      const OptionForm* known = is_option(words_[at_]) ? form.option(words_[at_].text) : nullptr;
      if (known == nullptr) {
        at_ = begin;
        if (starts_part(begin)) return true;
        skip_to_next();
        return false;
      }
      ++at_;
      Option option{.name = known->name, .values = {}, .negate = negate};
      // "--dport ! 80", as iptables wrote it before 1.4.3.
      if (known->values != 0 && at_ + known->values < words_.size() && words_[at_].is("!")) {
        option.negate = true;
        ++at_;
      }
      if (at_ + known->values > words_.size() || std::ranges::count(options, option.name, &Option::name) != 0) {
        skip_to_next();
        return false;
      }
      for (std::size_t i = 0; i < known->values; ++i) option.values[i] = words_[at_++].text;
      options.push_back(option);
    }
    return true;
  }

  /// Whether a match, a target, an option of the header or of the protocol begins here.
  bool starts_part(std::size_t at) const {
    if (words_[at].is("!") && at + 1 < words_.size()) ++at;
    if (header_of(words_[at]) != Header::kNone) return true;
    const Form* form = form_of_protocol();
    return form != nullptr && is_option(words_[at]) && form->option(words_[at].text) != nullptr;
  }

  /// Passes what is not known, up to the next match, target or option of the header.
  void skip_to_next() {
    // Their values are any text, "-j", too.
    constexpr std::string_view kTexts[] = {"--comment",  "--log-prefix",    "--nflog-prefix", "--string",
                                           "--name",     "--label",         "--helper",       "--u32",
                                           "--bytecode", "--hashlimit-name"};
    while (at_ < words_.size() && !starts_part(at_)) {
      const bool text = !words_[at_].quoted && std::ranges::find(kTexts, words_[at_].text) != std::end(kTexts);
      at_ = std::min(at_ + (text ? 2 : 1), words_.size());
    }
  }

  std::string_view text_of(std::size_t begin) const {
    const std::size_t from = words_[begin].begin;
    return text_.substr(from, words_[at_ - 1].end - from);
  }

  std::string remarked(std::size_t begin) const {
    std::string text(text_of(begin));
    if (const auto remark = unreadable_remark(text); !remark.empty()) text.append(" (").append(remark).append(")");
    return text;
  }

  void unjudged(std::size_t begin, Part part) {
    parts_.model.reset();
    parts_.statements.emplace_back(Unjudged{remarked(begin), part});
  }

  void other(std::size_t begin, std::string_view name) {
    parts_.model.reset();
    std::string text = remarked(begin);
    // Options that iptables takes but once, or a destination of port 0, come of a rule of a newer revision than the
    // program's that printed it.
    if (name == "DNAT" && unreadable_remark(text).empty() && (text.contains(":0 ") || text.ends_with(":0")))
      text += " (iptables-save itself could not read it; in the kernel it may be good)";
    if (name.empty() || name == "DNAT" || name == "SNAT" || name == "MASQUERADE" || name == "REDIRECT" ||
        name == "NETMAP" || name == "REJECT" || name == "TPROXY")
      return parts_.statements.emplace_back(OtherTarget{std::move(text)}), void();
    parts_.statements.push_back(other_target(name, std::move(text)));
  }

  std::string_view text_;
  std::vector<Word> words_;
  std::size_t at_ = 0;
  const std::function<bool(std::string_view)>& is_chain_;
  Family family_;
  Parts parts_;
  std::vector<Statement> actions_;
  bool has_target_ = false;
};

}  // namespace

WalkRule read_rule(std::string_view text, Family family, const std::function<bool(std::string_view)>& is_chain) {
  return Reader(text, family, is_chain).read();
}

}  // namespace kubenatd::rules::walk::xt
