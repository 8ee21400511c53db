#include "agent/cli/examples.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace kubenatd::agent::cli {
namespace {

constexpr std::array kRun{
    Example{"kubenatd run --config /var/lib/kube-proxy/config.conf", "as kube-proxy in a cluster"},
    Example{"kubenatd run --manifests DIR", "from a folder of objects, whose changes are followed"},
    Example{"kubenatd run --manifests DIR --once", "write the rules and exit"},
};
constexpr std::array kRender{
    Example{"kubenatd render --manifests DIR", "as iptables-save text"},
    Example{"kubenatd render --manifests DIR --proxy-mode nftables", "as nft text"},
    Example{"kubenatd render --manifests DIR --family ipv6", "only what ip6tables-save would print"},
};
constexpr std::array kDiff{
    Example{"kubenatd diff --config /var/lib/kube-proxy/config.conf", "beside a running agent, with its configuration"},
    Example{"kubenatd diff --manifests DIR --family ipv4", "only one address family"},
};
constexpr std::array kExplain{
    Example{"kubenatd explain 10.96.0.10:53/udp --manifests DIR", "a Service's port, asked by the node"},
    Example{"kubenatd explain node:30080 --from 192.0.2.7", "a NodePort, asked by a client outside"},
    Example{"kubenatd explain http://shop.local/cart --desired", "a request through an Ingress; needs no rights"},
    Example{"kubenatd explain 10.96.0.1:443 --from-save FILE", "by what iptables-save printed elsewhere"},
};
constexpr std::array kTrace{
    Example{"kubenatd trace 10.96.0.10:53/udp --manifests DIR", "packets that come within 10 s"},
    Example{"kubenatd trace 10.96.0.1:443 --connect", "one connection of this node"},
    Example{"kubenatd trace node:30080 --from 192.0.2.7 --for 1m", "those of one client"},
};
constexpr std::array kStatus{
    Example{"kubenatd status", "of the agent that runs on this node"},
    Example{"kubenatd status --output json", "for programs"},
};
constexpr std::array kServices{
    Example{"kubenatd services", "all that this node serves"},
    Example{"kubenatd services demo/web --output wide", "one, with more columns"},
    Example{"kubenatd services --problems", "those with a problem"},
};
constexpr std::array kReport{
    Example{"kubenatd report --config FILE --output report.txt", "beside a running agent, with its configuration"},
    Example{"kubenatd report --manifests DIR", "on standard output"},
};
constexpr std::array kCheck{
    Example{"kubenatd check --config FILE", "what is understood of a configuration"},
    Example{"kubenatd check --node --proxy-mode nftables", "whether this node can do that mode"},
    Example{"kubenatd check --node --output json", "the same of both modes, for programs"},
};
constexpr std::array kCleanup{
    Example{"kubenatd cleanup", "when neither kubenatd nor kube-proxy runs any more"},
};
constexpr std::array kVersion{
    Example{"kubenatd version --output json", "what a report of a fault needs"},
};
constexpr std::array kCompletion{
    Example{"source <(kubenatd completion bash)", "for this bash; zsh is alike"},
    Example{"kubenatd completion fish | source", "for this fish"},
};

struct Entry {
  std::string_view word;
  std::span<const Example> examples;
};
constexpr std::array kAll{
    Entry{"run", kRun},     Entry{"render", kRender},   Entry{"diff", kDiff},         Entry{"explain", kExplain},
    Entry{"trace", kTrace}, Entry{"status", kStatus},   Entry{"services", kServices}, Entry{"report", kReport},
    Entry{"check", kCheck}, Entry{"cleanup", kCleanup}, Entry{"version", kVersion},   Entry{"completion", kCompletion},
};

}  // namespace

std::span<const Example> examples_of(std::string_view word) {
  const auto* const found = std::ranges::find(kAll, word, &Entry::word);
  return found == kAll.end() ? std::span<const Example>() : found->examples;
}

}  // namespace kubenatd::agent::cli
