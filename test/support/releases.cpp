#include "test/support/releases.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <stdexcept>

namespace kubenatd::test {
namespace {

namespace fs = std::filesystem;

/// The file of this name below the root that leads to nothing outside of it (lib64 is an absolute link in some).
template <class Wanted>
std::optional<fs::path> find_below(const fs::path& root, Wanted&& is_wanted) {
  const fs::path inside = fs::canonical(root);
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (!is_wanted(entry.path().filename().native())) continue;
    std::error_code error;
    const fs::path real = fs::canonical(entry.path(), error);
    if (!error && real.native().starts_with(inside.native())) return entry.path();
  }
  return std::nullopt;
}

Release release_in(const fs::path& root, const std::string& name) {
  const auto loader = find_below(root, [](const std::string& file) { return file.starts_with("ld-linux"); });
  const auto library = find_below(root, [](const std::string& file) { return file.starts_with("libxtables.so."); });
  const auto extensions = find_below(root, [](const std::string& file) { return file == "libxt_tcp.so"; });
  if (!loader || !library || !extensions)
    throw std::runtime_error(root.string() + ": no loader or no libraries of iptables");
  const std::string libraries = loader->parent_path().string() + ":" + library->parent_path().string();
  return {.name = name,
          .start = {"env", "XTABLES_LIBDIR=" + extensions->parent_path().string(), loader->string(), "--library-path",
                    libraries},
          .folder = (root / "usr" / "sbin").string()};
}

}  // namespace

std::vector<std::string> Release::iptables(const std::string& program) const {
  if (folder.empty()) return {program};
  auto words = start;
  words.insert(words.end(), {folder + "/xtables-nft-multi", program});
  return words;
}

std::vector<std::string> Release::nft() const {
  if (folder.empty()) return {"nft"};
  auto words = start;
  words.push_back(folder + "/nft");
  return words;
}

Release installed_release() {
  return {.name = "installed", .start = {}, .folder = {}};
}

std::vector<Release> other_releases() {
  std::vector<Release> all;
  const char* named = std::getenv("KUBENATD_TOOLS");
  if (named == nullptr) {
    std::printf("SKIPPED: no iptables and nft of other releases (set KUBENATD_TOOLS)\n");
    return all;
  }
  for (const auto& entry : fs::directory_iterator(named)) {
    const fs::path root = entry.path() / "root";
    if (fs::exists(root / "usr" / "sbin" / "xtables-nft-multi"))
      all.push_back(release_in(root, entry.path().filename().string()));
  }
  if (all.empty()) throw std::runtime_error(std::string(named) + ": no NAME/root with iptables in it");
  std::ranges::sort(all, {}, &Release::name);
  return all;
}

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false, any = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"') {
      quoted = !quoted;
      any = true;
    } else if (c == '\\' && i + 1 < line.size()) {
      word += line[++i];
    } else if (c == ' ' && !quoted) {
      if (any || !word.empty()) words.push_back(word);
      word.clear();
      any = false;
    } else {
      word += c;
    }
  }
  if (any || !word.empty()) words.push_back(word);
  return words;
}

}  // namespace kubenatd::test
