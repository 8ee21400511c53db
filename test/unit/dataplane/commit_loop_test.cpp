#include "agent/dataplane/commit_loop.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "netlink/iptables/writer.h"
#include "test/dataplane/interposer.h"
#include "test/support/fake/kernel.h"

namespace kubenatd::agent::dataplane {
namespace {

constexpr rules::Family kIpv4 = rules::Family::kIpv4;
constexpr rules::Table kNat = rules::Table::kNat;

/// Makes one chain, and writes down what it was asked.
class Steps final : public SyncSteps {
 public:
  std::string name() const override { return "test tables"; }
  std::expected<void, netlink::CommitFailure> prepare(NfSession& /*session*/, netlink::Batch& batch, const Stage& stage,
                                                      SyncReport& /*report*/) override {
    ++prepared;
    if (on_prepare) on_prepare(batch);
    outdated = false;
    if (stages) {
      netlink::Batch part;
      netlink::iptables::add_chain(part, kIpv4, kNat, "STAGED");
      if (auto staged = stage(part); !staged) return std::unexpected(staged.error());
    }
    if (writes) netlink::iptables::add_chain(batch, kIpv4, kNat, "OURS", true);
    return {};
  }
  std::size_t notifications(const netlink::Batch& batch) const override { return large ? 100'000 : batch.messages(); }
  bool is_outdated() const override { return outdated; }
  void put_back() override { ++put_backs; }
  rules::Result<bool> committed(NfSession& /*session*/, const netlink::CommitReport& /*commit*/,
                                SyncReport& /*report*/) override {
    ++commits;
    return commits > incomplete;
  }
  void read_again() override { ++reads; }
  void events_lost() override { ++reads; }
  bool take_out(const std::vector<rules::Refusal>& refusals, SyncReport& /*report*/) override {
    taken_out.insert(taken_out.end(), refusals.begin(), refusals.end());
    if (can_take_out) writes = false;
    return can_take_out;
  }
  bool is_trial(const rules::Refusal& /*refusal*/) const override { return trial; }

  std::function<void(netlink::Batch&)> on_prepare;
  bool writes = true, stages = false, large = false, outdated = false, trial = false, can_take_out = true;
  int incomplete = 0;  ///< the first so many commits leave something to be looked at
  int prepared = 0, put_backs = 0, commits = 0, reads = 0;
  std::vector<rules::Refusal> taken_out;
};

class Fixture {
 public:
  Fixture() {
    auto opened = NfSession::open(interposer);
    REQUIRE(opened);
    session.emplace(std::move(*opened));
    REQUIRE(session->start());
    netlink::Batch batch;
    netlink::iptables::add_table(batch, kIpv4, kNat);
    netlink::iptables::add_chain(batch, kIpv4, kNat, "THEIRS");
    REQUIRE(others.write(batch));
    REQUIRE(session->drain([](const netlink::TableEvent&) {}));
  }

  rules::Result<SyncReport> run() {
    return loop.run(steps, *session, [this](const netlink::TableEvent& event) {
      if (event.kind == netlink::TableEvent::Kind::kGeneration) return;
      ++heard;
      if (concerns) steps.outdated = true;
    });
  }
  /// Another program writes something.
  void write() {
    netlink::Batch batch;
    netlink::iptables::add_chain(batch, kIpv4, kNat, "THEIRS-" + std::to_string(++written));
    REQUIRE(others.write(batch));
  }
  [[nodiscard]] bool has_chain(const std::string& name) const { return kernel.has_chain(kIpv4, "nat", name); }

  kubenatd::test::FakeKernel kernel;
  test::Interposer interposer{kernel};
  kubenatd::test::ForeignWriter others{kernel};
  std::optional<NfSession> session;
  CommitLoop loop;
  Steps steps;
  bool concerns = false;  ///< what others write is about what was read
  int heard = 0;
  int written = 0;
};

}  // namespace

TEST_CASE("what is prepared is committed in one transaction") {
  Fixture fixture;
  const auto report = fixture.run();
  REQUIRE(report);
  CHECK(report->wrote);
  CHECK(report->transactions == 1);
  CHECK(report->messages == 1);
  CHECK(report->retries == 0);
  CHECK(fixture.steps.prepared == 1);
  CHECK(fixture.steps.commits == 1);
  CHECK(fixture.steps.put_backs == 0);
  CHECK(fixture.has_chain("OURS"));
}

TEST_CASE("nothing to write is done without a transaction") {
  Fixture fixture;
  fixture.steps.writes = false;
  const auto before = fixture.interposer.commits();
  const auto report = fixture.run();
  REQUIRE(report);
  CHECK_FALSE(report->wrote);
  CHECK(fixture.interposer.commits() == before);
  CHECK(fixture.steps.commits == 1);
}

TEST_CASE("something left to look at after a commit is another turn") {
  Fixture fixture;
  fixture.steps.incomplete = 1;
  fixture.steps.on_prepare = [&](netlink::Batch&) { fixture.steps.writes = fixture.steps.prepared == 1; };
  REQUIRE(fixture.run());
  CHECK(fixture.steps.prepared == 2);
  CHECK(fixture.steps.commits == 2);
}

TEST_CASE("another writer in between is overtaken by the same transaction, or looked at again when it concerns us") {
  Fixture fixture;
  int left = 3;
  fixture.interposer.before_each_commit([&] {
    if (left-- > 0) fixture.write();
  });
  SECTION("about something else") {
    const auto report = fixture.run();
    REQUIRE(report);
    CHECK(report->retries == 3);
    CHECK(fixture.steps.prepared == 1);
    CHECK(fixture.steps.put_backs == 0);
  }
  SECTION("about what was read") {
    fixture.concerns = true;
    const auto report = fixture.run();
    REQUIRE(report);
    CHECK(fixture.steps.prepared == 4);
    CHECK(fixture.steps.put_backs == 3);
    CHECK(fixture.steps.reads == 0);
  }
  CHECK(fixture.heard == 3);
  CHECK(fixture.has_chain("OURS"));
}

TEST_CASE("with a writer that never stops, the generation is not asked for any more after eight tries") {
  Fixture fixture;
  fixture.interposer.before_each_commit([&] { fixture.write(); });
  SECTION("about something else: the ninth try of the same transaction") {
    REQUIRE(fixture.run());
    CHECK(fixture.written == 9);
    CHECK(fixture.steps.prepared == 1);
  }
  SECTION("about what was read: the ninth look") {
    fixture.concerns = true;
    REQUIRE(fixture.run());
    CHECK(fixture.written == 9);
    CHECK(fixture.steps.prepared == 9);
  }
  CHECK(fixture.has_chain("OURS"));
}

TEST_CASE("a writer that is always right before us is given up after sixteen looks") {
  Fixture fixture;
  // It makes the very chain, and takes it away again before we look.
  const auto change = [&](bool make) {
    netlink::Batch batch;
    if (make) {
      netlink::iptables::add_chain(batch, kIpv4, kNat, "OURS", true);
    } else {
      netlink::iptables::delete_chain(batch, kIpv4, kNat, "OURS");
    }
    REQUIRE(fixture.others.write(batch));
  };
  fixture.steps.on_prepare = [&](netlink::Batch&) {
    if (fixture.has_chain("OURS")) change(false);
  };
  fixture.concerns = true;
  fixture.interposer.before_each_commit([&] { change(true); });
  const auto report = fixture.run();
  REQUIRE_FALSE(report);
  CHECK(report.error().code == EAGAIN);
  CHECK(report.error().object == "test tables");
  CHECK(fixture.steps.prepared == 16);
  CHECK(fixture.steps.taken_out.empty());
}

TEST_CASE("what somebody made or removed meanwhile is nobody's fault: looked at again, never taken out") {
  Fixture fixture;
  SECTION("made") {
    fixture.kernel.refuse([](const kubenatd::test::FakeMessage& message) { return message.name == "OURS"; }, EEXIST, 3);
  }
  SECTION("removed") {
    fixture.steps.on_prepare = [&](netlink::Batch& batch) {
      if (fixture.steps.prepared <= 3) netlink::iptables::delete_chain(batch, kIpv4, kNat, "NOT-THERE");
    };
  }
  REQUIRE(fixture.run());
  CHECK(fixture.steps.prepared == 4);
  CHECK(fixture.steps.reads == 3);
  CHECK(fixture.steps.taken_out.empty());
  CHECK(fixture.has_chain("OURS"));
}

TEST_CASE("a refusal is looked at again first, and only then taken out") {
  Fixture fixture;
  const auto refuse = [&](std::size_t times) {
    fixture.kernel.refuse([](const kubenatd::test::FakeMessage& message) { return message.name == "OURS"; }, EINVAL,
                          times);
  };
  SECTION("once: the picture was old") {
    refuse(1);
    REQUIRE(fixture.run());
    CHECK(fixture.steps.prepared == 2);
    CHECK(fixture.steps.reads == 1);
    CHECK(fixture.steps.taken_out.empty());
    CHECK(fixture.has_chain("OURS"));
  }
  SECTION("again: it is refused") {
    refuse(kubenatd::test::kForever);
    const auto report = fixture.run();
    REQUIRE(report);
    CHECK_FALSE(report->wrote);
    CHECK(fixture.steps.prepared == 3);
    REQUIRE(fixture.steps.taken_out.size() == 1);
    CHECK(fixture.steps.taken_out[0].code == EINVAL);
    CHECK(fixture.steps.taken_out[0].operation == rules::Operation::kCreateChain);
    CHECK(fixture.steps.taken_out[0].object == rules::chain_ref(kIpv4, "nat", "OURS"));
  }
  SECTION("of something that is only tried again: at once") {
    refuse(kubenatd::test::kForever);
    fixture.steps.trial = true;
    REQUIRE(fixture.run());
    CHECK(fixture.steps.prepared == 2);
    CHECK(fixture.steps.taken_out.size() == 1);
  }
  SECTION("of something that cannot be taken out: the sync fails, and the next one looks again first, too") {
    refuse(kubenatd::test::kForever);
    fixture.steps.can_take_out = false;
    for (int run = 1; run <= 2; ++run) {
      const auto report = fixture.run();
      REQUIRE_FALSE(report);
      CHECK(report.error().code == EINVAL);
      CHECK(fixture.steps.prepared == 2 * run);
      CHECK(fixture.steps.put_backs == 2 * run);
    }
  }
}

TEST_CASE("a failure of the transaction as a whole ends the sync, and everything stays pending") {
  Fixture fixture;
  fixture.kernel.fail_next_commit(ENOMEM);
  const auto report = fixture.run();
  REQUIRE_FALSE(report);
  CHECK(report.error().code == ENOMEM);
  CHECK(fixture.steps.put_backs == 1);
  CHECK(fixture.steps.commits == 0);
  REQUIRE(fixture.run());
  CHECK(fixture.has_chain("OURS"));
}

TEST_CASE("an outcome that is not known is looked up before anything else") {
  Fixture fixture;
  // Somebody writes at the same time, so that the generation alone does not tell.
  fixture.interposer.lose_answers(1);
  fixture.steps.on_prepare = [&](netlink::Batch&) { fixture.steps.writes = !fixture.has_chain("OURS"); };
  const auto report = fixture.run();
  REQUIRE(report);
  CHECK(fixture.has_chain("OURS"));
  // Either the generation told that it was carried out, or everything was read again; never a failure.
  CHECK(fixture.steps.commits == 1);
  CHECK(fixture.steps.put_backs == fixture.steps.reads);
}

TEST_CASE("lost events make everything be read again") {
  Fixture fixture;
  fixture.kernel.lose_next_events();
  bool once = true;
  fixture.steps.on_prepare = [&](netlink::Batch&) {
    if (std::exchange(once, false)) fixture.write();
  };
  REQUIRE(fixture.run());
  CHECK(fixture.steps.reads == 1);
  CHECK(fixture.steps.prepared == 2);
  CHECK(fixture.session->overruns() == 1);
  CHECK(fixture.has_chain("OURS"));
}

TEST_CASE("a large transaction is not listened to, and a writer in that time makes everything be read again") {
  Fixture fixture;
  fixture.steps.large = true;
  fixture.steps.on_prepare = [&](netlink::Batch&) { fixture.steps.writes = !fixture.has_chain("OURS"); };
  SECTION("alone") {
    REQUIRE(fixture.run());
    CHECK(fixture.steps.prepared == 1);
    CHECK(fixture.steps.reads == 0);
  }
  SECTION("with a writer right before the commit") {
    bool once = true;
    fixture.interposer.before_each_commit([&] {
      if (std::exchange(once, false)) fixture.write();
    });
    REQUIRE(fixture.run());
    CHECK(fixture.steps.prepared == 2);
    CHECK(fixture.steps.reads >= 1);
  }
  CHECK_FALSE(fixture.session->muted());
  CHECK(fixture.has_chain("OURS"));
  // Listening goes on.
  const int before = fixture.heard;
  fixture.write();
  REQUIRE(fixture.session->drain([&](const netlink::TableEvent& event) {
    if (event.kind == netlink::TableEvent::Kind::kChainAdded) ++fixture.heard;
  }));
  CHECK(fixture.heard == before + 1);
}

TEST_CASE("stages go ahead of the transaction, unheard; one that fails leaves everything pending") {
  Fixture fixture;
  fixture.steps.stages = true;
  SECTION("all go through") {
    const auto report = fixture.run();
    REQUIRE(report);
    CHECK(report->transactions == 2);
    CHECK(fixture.has_chain("STAGED"));
    CHECK(fixture.has_chain("OURS"));
  }
  SECTION("the stage fails") {
    fixture.kernel.fail_next_commit(ENOMEM);
    const auto report = fixture.run();
    REQUIRE_FALSE(report);
    CHECK(report.error().code == ENOMEM);
    CHECK_FALSE(fixture.has_chain("STAGED"));
    CHECK_FALSE(fixture.has_chain("OURS"));
    CHECK_FALSE(fixture.session->muted());
    REQUIRE(fixture.run());
    CHECK(fixture.has_chain("OURS"));
  }
}

}  // namespace kubenatd::agent::dataplane
