#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "test/support/places.h"
#include "test/support/process.h"

/// scripts/kubectl-kubenatd, with a kubectl that answers from a script.
namespace kubenatd::test {
namespace {

/// Three nodes: a and b with a pod that runs, c with one that does not; a fourth pod has no node yet. Each call is
/// noted in $CALLS. Answers of kubenatd are files in $ANSWERS, NODE.VERB, with NODE.VERB.code; explain's JSON is
/// NODE.explain.json.
constexpr const char* kKubectl = R"sh(#!/usr/bin/env bash
printf '%s\n' "$*" >>"$CALLS"
case "$*" in
  *"get pods --selector"*)
    printf 'kubenatd-1\tnode=a\tphase=Running\trun\t--config=/x/config.conf\t--hostname-override=$(NODE_NAME)\n'
    printf 'kubenatd-2\tnode=b\tphase=Running\t/usr/sbin/kubenatd\trun\t--v\t2\n'
    printf 'kubenatd-3\tnode=c\tphase=Pending\trun\n'
    printf 'kubenatd-4\tnode=\tphase=Pending\trun\n'
    ;;
  *"get nodes"*) printf 'a\t192.0.2.1\tfd00::1\nb\t192.0.2.2\nc\t192.0.2.3\n' ;;
  *"get pods --all-namespaces"*"status.podIP=10.244.2.7"*) echo b ;;
  *"get pods --all-namespaces"*"status.podIP=10.244.3.7"*) echo c ;;
  *"get pods --all-namespaces"*) ;;
  *" exec "*)
    [[ $* == *kubenatd-1* ]] && node=a || node=b
    all=$*
    verb=${all#*/usr/sbin/kubenatd }
    verb=${verb%% *}
    [[ $* == *"--output json"* && -e $ANSWERS/$node.$verb.json ]] && verb=$verb.json
    [[ -e $ANSWERS/$node.$verb ]] && cat "$ANSWERS/$node.$verb"
    [[ -e $ANSWERS/$node.$verb.err ]] && cat "$ANSWERS/$node.$verb.err" >&2
    code=$(cat "$ANSWERS/$node.${verb%.json}.code" 2>/dev/null || echo 0)
    ((code == 0)) || echo "command terminated with exit code $code" >&2
    if [[ -e $ANSWERS/$node.fails ]]; then
      echo "error: unable to upgrade connection" >&2
      exit 1
    fi
    exit "$code"
    ;;
  *) exit 9 ;;
esac
)sh";

class Cluster {
 public:
  Cluster() {
    folder_.write("bin/kubectl", kKubectl);
    std::filesystem::permissions(folder_.path() / "bin/kubectl", std::filesystem::perms::owner_all);
    folder_.write("calls", "");
  }
  void answer(const std::string& name, const std::string& text) const { folder_.write("answers/" + name, text); }
  [[nodiscard]] ProcessResult ask(const std::string& arguments) const {
    const std::string path = folder_.path().string();
    return run({"env", "PATH=" + path + "/bin:" + std::getenv("PATH"), "CALLS=" + path + "/calls",
                "ANSWERS=" + path + "/answers", "bash", "-c",
                project_file("scripts/kubectl-kubenatd") + " " + arguments});
  }
  [[nodiscard]] std::string calls() const { return read_file(folder_.path() / "calls"); }

 private:
  TempFolder folder_;
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr const char* kHeadings = "NODE\tVERSION\tPROBLEMS\n";

}  // namespace

TEST_CASE("the plugin shows all nodes side by side and exits as the worst of them") {
  const Cluster cluster;
  cluster.answer("a.status", std::string(kHeadings) + "a\t1.0\t0\n");
  cluster.answer("b.status", std::string(kHeadings) + "b\t1.0.12345\t1\nIPv4: syncs fail\n");
  cluster.answer("b.status.code", "1");
  const auto told = cluster.ask("status");
  INFO(told.describe());
  CHECK(told.status == 3);  // c does not run
  CHECK(has(told.out, "NODE  VERSION    PROBLEMS\na     1.0        0\nb     1.0.12345  1\n"));
  CHECK(has(told.out, "\nb: IPv4: syncs fail\n"));
  CHECK(has(told.out, "c: no answer: kubectl kubenatd: the pod on node c is Pending"));
  const std::string calls = cluster.calls();
  INFO(calls);
  CHECK(has(calls,
            "exec kubenatd-1 --container kubenatd -- /usr/sbin/kubenatd status --output row "
            "--config=/x/config.conf --hostname-override=a\n"));
  CHECK(has(calls, "exec kubenatd-2 --container kubenatd -- /usr/sbin/kubenatd status --output row --v 2\n"));
  CHECK_FALSE(has(calls, "kubenatd-3"));
  CHECK(cluster.ask("status --node a").status == 0);
  CHECK(cluster.ask("status --node=b").status == 1);
  CHECK(cluster.ask("status --node d").status == 3);
}

TEST_CASE("the plugin gives a document a line for each node as JSON") {
  const Cluster cluster;
  cluster.answer("a.status", "{\n  \"node\": \"a\"\n}\n");
  cluster.answer("b.status", "{\n  \"node\": \"b\"\n}\n");
  const auto told = cluster.ask("status -o json");
  INFO(told.describe());
  CHECK(told.out == "{  \"node\": \"a\"}\n{  \"node\": \"b\"}\n");
}

TEST_CASE("the plugin explains where a packet enters and where its pods are") {
  const Cluster cluster;
  cluster.answer("b.explain", "the packet enters at b\n");
  cluster.answer("a.explain", "the packet is at a\n");
  cluster.answer("a.explain.json", R"({
  "packet": {
    "protocol": "tcp",
    "source": "198.51.100.9",
    "from": "outside",
    "destination": "192.0.2.1",
    "port": 30080
  },
  "ends": [
    {
      "end": "forwarded",
      "odds": 0.5,
      "address": "10.244.2.7",
      "port": 8080,
      "masqueraded": true,
      "steps": []
    },
    {
      "end": "forwarded",
      "odds": 0.5,
      "address": "10.244.3.7",
      "port": 8080,
      "masqueraded": true
    }
  ]
}
)");
  const auto told = cluster.ask("explain 192.0.2.1:30080 --from 198.51.100.9");
  INFO(told.describe());
  CHECK(told.out.starts_with("== node a, where the packet enters\nthe packet is at a\n"));
  CHECK(has(told.out, "== node b, where the pod with address 10.244.2.7 is\nthe packet enters at b\n"));
  CHECK(has(told.out, "== node c, where the pod with address 10.244.3.7 is\n"));
  CHECK(told.status == 3);  // what happens at c is not known
  const std::string calls = cluster.calls();
  INFO(calls);
  // As the pod's node sees it: from the node that masqueraded.
  CHECK(has(calls,
            "kubenatd-2 --container kubenatd -- /usr/sbin/kubenatd explain 10.244.2.7:8080/tcp --from 192.0.2.1 "));
  CHECK(has(calls, "explain 192.0.2.1:30080 --from 198.51.100.9 --config"));
}

TEST_CASE("the plugin goes on from an Ingress controller to its backend") {
  const Cluster cluster;
  cluster.answer("a.explain", "to the controller\n");
  cluster.answer("b.explain", "to the backend\n");
  cluster.answer("a.explain.json", R"({
  "packet": {
    "protocol": "tcp",
    "source": "127.0.0.1",
    "destination": "127.0.0.1",
    "port": 8080
  },
  "ends": [
    {
      "end": "forwarded",
      "address": "10.244.2.7",
      "port": 80,
      "masqueraded": false
    }
  ],
  "backend": {
    "packet": {
      "protocol": "tcp",
      "source": "10.244.2.7",
      "from": "controller",
      "destination": "10.96.0.9",
      "port": 5678
    },
    "ends": [
      {
        "end": "forwarded",
        "address": "10.244.3.7",
        "port": 5678,
        "masqueraded": false
      }
    ]
  }
}
)");
  const auto told = cluster.ask("explain http://localhost:8080/api --node a");
  INFO(told.describe());
  CHECK(told.status == 0);
  CHECK(has(told.out, "== node b, where the controller is: from there to its backend\n"));
  CHECK(has(cluster.calls(), "explain 10.96.0.9:5678/tcp --from 10.244.2.7 --v 2"));
}

TEST_CASE("the plugin chooses the node by its address and asks which is meant where that does not tell") {
  const Cluster cluster;
  CHECK(cluster.ask("trace 192.0.2.2:30080 --for 5s").status == 0);
  CHECK(has(cluster.calls(),
            "kubenatd-2 --container kubenatd -- /usr/sbin/kubenatd trace 192.0.2.2:30080 --for 5s --v 2"));
  CHECK(cluster.ask("explain '[fd00::1]:30080'").status == 0);
  CHECK(has(cluster.calls(), "kubenatd-1 --container kubenatd -- /usr/sbin/kubenatd explain [fd00::1]:30080 --config"));
  const auto which = cluster.ask("explain http://localhost:8080/");
  CHECK(which.status == 2);
  CHECK(has(which.err, "--node says which is meant"));
  const auto pending = cluster.ask("explain 192.0.2.3:80");
  INFO(pending.describe());
  CHECK(pending.status == 3);
  CHECK(cluster.ask("explain 10.96.0.1:443").status == 0);  // all nodes serve it alike
}

TEST_CASE("the plugin compares node by node and lists Services of one") {
  const Cluster cluster;
  cluster.answer("a.diff", "");
  cluster.answer("b.diff", "IPv4 nat KUBE-SERVICES\n  - -A KUBE-SERVICES -j RETURN\n");
  cluster.answer("b.diff.code", "1");
  const auto told = cluster.ask("diff --node b");
  INFO(told.describe());
  CHECK(told.status == 1);
  CHECK(told.out == "b:\n  IPv4 nat KUBE-SERVICES\n    - -A KUBE-SERVICES -j RETURN\n");
  CHECK(cluster.ask("diff --node a").out == "a: no difference\n");
  cluster.answer("b.services", "NAMESPACE\n");
  CHECK(cluster.ask("services demo/web --node b -o wide").out == "NAMESPACE\n");
  CHECK(has(cluster.calls(), "kubenatd-2 --container kubenatd -- /usr/sbin/kubenatd services demo/web -o wide --v 2"));
}

TEST_CASE("the plugin tells a kubectl that fails from a kubenatd that found something") {
  const Cluster cluster;
  cluster.answer("b.fails", "");
  for (const char* command : {"diff --node b", "explain 192.0.2.2:80", "trace 192.0.2.2:80", "services --node b"}) {
    const auto told = cluster.ask(command);
    INFO(told.describe());
    CHECK(told.status == 3);
    CHECK(has(told.err, "unable to upgrade connection"));
  }
  const auto status = cluster.ask("status --node b");
  CHECK(status.status == 3);
  CHECK(has(status.out, "b: no answer: error: unable to upgrade connection"));
  const Cluster other;
  other.answer("b.explain.code", "1");
  const auto found = other.ask("explain 192.0.2.2:80");
  CHECK(found.status == 1);
  CHECK_FALSE(has(found.err, "command terminated"));
}

TEST_CASE("the plugin hands kubectl its own flags and knows wrong usage") {
  const Cluster cluster;
  cluster.answer("a.diff", "");
  CHECK(cluster.ask("diff --node a --context kind-x -n nets -l app=k").status == 0);
  CHECK(has(cluster.calls(), "--context=kind-x --namespace nets get pods --selector app=k"));
  CHECK(has(cluster.calls(), "--context=kind-x --namespace nets exec kubenatd-1"));
  for (const char* usage : {"", "sing", "explain", "explain a b", "status x", "services a b", "diff --node"}) {
    CAPTURE(usage);
    const auto told = cluster.ask(usage);
    CHECK(told.status == 2);
    CHECK_FALSE(told.err.empty());
  }
  CHECK(cluster.ask("--help").status == 0);
}

}  // namespace kubenatd::test
