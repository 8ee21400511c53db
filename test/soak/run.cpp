#include "test/soak/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "test/server/certificates.h"
#include "test/soak/api_faults.h"
#include "test/soak/clients.h"
#include "test/soak/fresh.h"
#include "test/soak/news_watch.h"
#include "test/soak/process_faults.h"
#include "test/soak/report.h"
#include "test/soak/rule_faults.h"

namespace kubenatd::soak {

using std::chrono::milliseconds;

namespace {

std::unique_ptr<test::ApiServer> make_server(const test::Lab& lab, const test::Authority& authority) {
  test::ApiServer::Options options;
  options.tls = test::ServerTls{.own = ApiFaults::good_certificate(authority), .client_authority = ""};
  options.pods = true;
  options.history = 20'000;
  const test::Inside inside(lab.node);
  return std::make_unique<test::ApiServer>(std::move(options));
}

/// Everything of a run, in the order in which it can be made and taken down.
class Soak {
 public:
  explicit Soak(const RunOptions& options)
      : options_(options),
        server_(make_server(lab_, authority_)),
        changes_({.seed = options.seed, .services = options.services, .rate = options.changes}, *server_, lab_, ways_),
        probe_(*server_, lab_, figures_),
        agent_({.program = options.program,
                .mode = options.mode,
                .authority = authority_.certificate(),
                .logs = options.logs},
               lab_, *server_, faults_, complaints_) {}

  std::size_t run() {
    agent_.start(dice_);
    const Time limit = Clock::now() + std::chrono::seconds(60) * test::patience();
    while (!agent_.at_start() && Clock::now() < limit) rest(milliseconds(50));
    if (!agent_.at_start()) {
      complaints_.add("did not start:\n" + agent_.log());
      return complaints_.count();
    }
    Report report;
    report.start = *agent_.at_start();
    storm();
    calm(report);
    report.print(options_, faults_, figures_.summary());
    return complaints_.count();
  }

 private:
  void rest(milliseconds time) {
    const Time end = Clock::now() + time;
    do {
      if (agent_.look(dice_) && news_) news_->well_now();
      std::this_thread::sleep_for(std::min(milliseconds(20), time));
    } while (Clock::now() < end);
  }

  void storm() {
    news_.emplace(agent_, faults_, complaints_);
    const bool is_short = options_.minutes < 2;
    rules_.emplace(RuleFaults::Options{.seed = options_.seed,
                                       .mode = options_.mode,
                                       .longest_pause = milliseconds(is_short ? 2000 : 6000),
                                       .full_table = !is_short},
                   lab_, agent_, *server_, changes_, faults_, complaints_);
    clients_.emplace(Clients::Options{.seed = options_.seed, .rate = options_.rate}, ways_, faults_, figures_,
                     complaints_);
    changes_.start(probe_);
    const auto pass = [this](milliseconds time) { rest(time); };
    ApiFaults api(*server_, authority_, faults_, pass);
    ProcessFaults process(agent_, faults_, pass);
    const Time end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                        std::chrono::duration<double, std::ratio<60>>(options_.minutes));
    while (Clock::now() < end) {
      rest(dice_.between(milliseconds(100), milliseconds(is_short ? 2500 : 8000)));
      const unsigned kind = dice_.below(10);
      if (kind < 5) {
        process.make(dice_);
      } else if (std::unique_lock truce(rules_->truce(), std::try_to_lock); truce && kind < 9) {
        api.make(dice_);
      } else if (truce) {
        process.change_mode(dice_);
      }
      news_->well_now();
    }
  }

  /// What is left when all have stopped.
  void calm(Report& report) {
    rules_->stop();
    changes_.stop();
    const Time limit = Clock::now() + std::chrono::seconds(100) * test::patience();
    // Longer than it takes to be seen as settled.
    while (!agent_.at_start() && Clock::now() < limit) rest(milliseconds(50));
    std::string difference;
    if (!rules_->is_right(std::chrono::seconds(40), difference))
      complaints_.add("the rules at the end are not those that kubenatd diff wants:\n" + difference.substr(0, 4000));
    clients_->stop();
    if (const std::string foreign = rules_->foreign_difference(); !foreign.empty())
      complaints_.add("rules of others were changed: " + foreign);
    const test::TempFolder objects;
    objects.write("objects.json", server_->manifest());
    if (const std::string differs =
            difference_from_fresh(options_.mode, agent_, lab_.node, objects.path().string(), rules_->flushed_unseen());
        !differs.empty())
      complaints_.add("the rules at the end are not those of a fresh start:\n" + differs.substr(0, 4000));
    if (const std::string others = left_of_other_mode(options_.mode, lab_.node); !others.empty())
      complaints_.add("rules of the other mode stand at the end:\n" + others.substr(0, 4000));
    report.end = usage_of(agent_.pid());
    judge(report);
    report.changes = changes_.count();
    report.lives = agent_.lives();
    report.ends = agent_.ends();
    report.refused = rules_->refused();
    report.owned = agent_.can_own();
    report.healing = rules_->healing();
    report.no_news = news_->longest();
    report.complaints = complaints_.count();
  }

  void judge(const Report& report) {
    constexpr std::size_t kDescriptors = 24;
    constexpr double kMegabytes = 60;
    if (report.end.descriptors > report.start.descriptors + kDescriptors)
      complaints_.add(
          fmt::format("{} descriptors at the end, {} at the start", report.end.descriptors, report.start.descriptors));
    if (report.end.rss_mb > report.start.rss_mb * 2 + kMegabytes)
      complaints_.add(
          fmt::format("{:.0f} MB at the end, {:.0f} MB at the start", report.end.rss_mb, report.start.rss_mb));
  }

  const RunOptions options_;
  Dice dice_{options_.seed, 2};
  FaultLog faults_;
  Complaints complaints_;
  Figures figures_{faults_, complaints_};
  const test::Authority authority_{"soak"};
  const test::Lab lab_;
  std::unique_ptr<test::ApiServer> server_;
  Ways ways_;
  Changes changes_;
  Probe probe_;
  Agent agent_;
  std::optional<NewsWatch> news_;
  std::optional<RuleFaults> rules_;
  std::optional<Clients> clients_;
};

}  // namespace

std::size_t soak(const RunOptions& options) {
  return Soak(options).run();
}

}  // namespace kubenatd::soak
