#pragma once

#include <string>
#include <vector>

namespace kubenatd::test {

/// iptables and nft of one release: those on the PATH, or those in the root file system of a distribution, which run
/// with its own loader and libraries.
struct Release {
  std::string name;                ///< of its folder; "installed" for the PATH
  std::vector<std::string> start;  ///< words before what is run; none for the PATH
  std::string folder;              ///< of the programs; empty for the PATH

  /// The words that run a program of xtables-nft-multi ("ip6tables-save").
  [[nodiscard]] std::vector<std::string> iptables(const std::string& program) const;
  [[nodiscard]] std::vector<std::string> nft() const;
};

/// The programs on the PATH.
[[nodiscard]] Release installed_release();

/// The releases below the folder KUBENATD_TOOLS: NAME/root, each with what Debian's packages iptables and nftables hold
/// and need. Without the variable it prints the line that counts a test as skipped; a folder without any throws.
[[nodiscard]] std::vector<Release> other_releases();

/// The words of a line of iptables-save, as a shell would split it.
[[nodiscard]] std::vector<std::string> words_of(const std::string& line);

}  // namespace kubenatd::test
