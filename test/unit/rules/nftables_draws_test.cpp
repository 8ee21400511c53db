#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "rules/nftables/ruleset.h"

namespace kubenatd::rules::nftables {
namespace {

/// One way to endpoints, as the names of its chains have it.
struct WayOf {
  std::string chain;
  std::uint32_t most;
};
const std::vector<WayOf> kWays{{"endpoints", kMaxEndpoints},
                               {"local-endpoints", kMaxLocalEndpoints},
                               {"nodeport-endpoints", kMaxEndpoints},
                               {"nodeport-local-endpoints", kMaxLocalEndpoints}};

class Draws {
 public:
  Draws() : ruleset_(compile_ruleset({}, {.timeouts = {}, .sizes = kAllSizes})) {
    for (const Chain& chain : ruleset_.chains) chains_[chain.name] = &chain;
  }

  /// The odds of each of some endpoints, of `endpoints` in all, by exact calculation. Behind the last one: of none.
  [[nodiscard]] std::vector<double> odds(const std::string& way, bool hashed, std::uint32_t endpoints,
                                         const std::vector<std::uint32_t>& asked) const {
    std::vector<double> odds(asked.size() + 1, 0);
    double open = 1;
    const Chain* chain = chains_.at(way + (hashed ? "-udp-4" : "-4"));
    for (std::size_t i = 0; i < chain->rules.size(); ++i) {
      const std::vector<Statement>& rule = chain->rules[i].statements;
      if (const auto* larger = std::get_if<InSet>(&rule[0])) {
        if (endpoints <= larger->set.number) continue;
        chain = chains_.at(std::get<GoTo>(rule[1]).chain);
        i = static_cast<std::size_t>(-1);
        continue;
      }
      std::uint32_t numbers = 1;
      if (const auto* draw = std::get_if<DrawNumber>(&rule[0])) {
        numbers = draw->numbers;
        CHECK(draw->seed.has_value() == hashed);
      } else {
        CHECK(std::get<FixPriority>(rule[0]).value % 0x10000 == 0);
      }
      CHECK(std::holds_alternative<Translate>(rule[1]));
      for (std::size_t j = 0; j < asked.size(); ++j)
        if (asked[j] < numbers) odds[j] += open / numbers;
      open *= numbers > endpoints ? 1 - static_cast<double>(endpoints) / numbers : 0;
    }
    odds.back() = open;
    return odds;
  }

 private:
  Ruleset ruleset_;
  std::map<std::string, const Chain*> chains_;
};

}  // namespace

TEST_CASE("every endpoint has its share but for one percent however many there are") {
  const Draws draws;
  for (const WayOf& way : kWays)
    for (const bool hashed : {false, true}) {
      double worst = 0;
      for (std::uint32_t endpoints = 1; endpoints <= way.most; endpoints += endpoints <= 2000 ? 1 : 1 + endpoints % 7) {
        // Odds change where a range ends, and only there: one endpoint of each stretch stands for all of it.
        std::vector<std::uint32_t> asked{0, endpoints - 1};
        for (const std::uint32_t size : kSizes)
          for (const std::uint32_t edge : {size / 4, size / 2, size})
            for (const std::uint32_t near : {edge - 1, edge})
              if (edge != 0 && near < endpoints) asked.push_back(near);
        std::vector<double> odds = draws.odds(way.chain, hashed, endpoints, asked);
        const double none = odds.back();
        odds.pop_back();
        for (const double one : odds) worst = std::max(worst, std::abs(one * endpoints - 1));
        if (none > 0) FAIL(way.chain << " finds none of " << endpoints << " endpoints");
      }
      INFO(way.chain << (hashed ? " by hash" : " at random"));
      CHECK(worst < 0.01);
    }
}

TEST_CASE("a hash that misses is taken again with another seed") {
  const Ruleset ruleset = compile_ruleset({}, {.timeouts = {}, .sizes = kAllSizes});
  for (const Chain& chain : ruleset.chains) {
    std::set<std::uint32_t> seeds;
    std::size_t hashes = 0;
    for (const NftRule& rule : chain.rules)
      if (const auto* draw = std::get_if<DrawNumber>(&rule.statements[0]); draw != nullptr && draw->seed) {
        seeds.insert(*draw->seed);
        ++hashes;
      }
    CHECK(seeds.size() == hashes);
  }
}

TEST_CASE("a drawn number is a class of its own and says of which map it is") {
  std::set<std::uint32_t> firsts;
  for (const SetId id :
       {SetId::kEndpoints, SetId::kLocalEndpoints, SetId::kNodePortEndpoints, SetId::kNodePortLocalEndpoints}) {
    const std::uint32_t first = first_number(id), last = first + kMaxEndpoints - 1;
    CHECK((first & kDrawnMask) == kDrawn);
    CHECK((first & kDrawnFromMask) == first);
    CHECK((last & kDrawnFromMask) == first);
    firsts.insert(first);
  }
  CHECK(firsts.size() == 4);
}

}  // namespace kubenatd::rules::nftables
