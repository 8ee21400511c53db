#include <cpprest/version.h>
#include <fmt/format.h>
#include <gnu/libc-version.h>
#include <netlink/version.h>
#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <spdlog/version.h>
#include <yaml.h>
#include <boost/version.hpp>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "agent/cli/commands.h"
#include "agent/cli/options.h"
#include "agent/cli/output.h"
#include "agent/cli/texts.h"
#include "commit.h"

namespace kubenatd::agent::cli {
namespace {

std::string numbers(int first, int second, int third) {
  return fmt::format("{}.{}.{}", first, second, third);
}

/// What the program was built with and, of a library that tells it, what it runs with.
nlohmann::ordered_json library(const char* name, std::string built, std::string loaded = {}) {
  nlohmann::ordered_json json{{"name", name}, {"built", std::move(built)}};
  if (!loaded.empty()) json["loaded"] = std::move(loaded);
  return json;
}

nlohmann::ordered_json libraries() {
  auto list = nlohmann::ordered_json::array();
  list.push_back(library("boost", numbers(BOOST_VERSION / 100'000, BOOST_VERSION / 100 % 1'000, BOOST_VERSION % 100)));
  list.push_back(
      library("cpprestsdk", numbers(CPPREST_VERSION_MAJOR, CPPREST_VERSION_MINOR, CPPREST_VERSION_REVISION)));
  list.push_back(library("fmt", numbers(FMT_VERSION / 10'000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)));
  list.push_back(library("glibc", fmt::format("{}.{}", __GLIBC__, __GLIBC_MINOR__), ::gnu_get_libc_version()));
  list.push_back(library("libmnl", KUBENATD_LIBMNL));
  list.push_back(library("libnftnl", KUBENATD_LIBNFTNL));
  list.push_back(library("libnl", numbers(LIBNL_VER_MAJ, LIBNL_VER_MIN, LIBNL_VER_MIC),
                         numbers(::nl_ver_maj, ::nl_ver_min, ::nl_ver_mic)));
  list.push_back(library("libyaml", KUBENATD_LIBYAML, ::yaml_get_version_string()));
  list.push_back(library(
      "nlohmann-json", numbers(NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH)));
  list.push_back(library("openssl", OPENSSL_VERSION_STR, ::OpenSSL_version(OPENSSL_VERSION_STRING)));
  list.push_back(library("prometheus-cpp", KUBENATD_PROMETHEUS));
  list.push_back(library("spdlog", numbers(SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH)));
  return list;
}

}  // namespace

std::string version_document() {
  const nlohmann::ordered_json json{{"version", KUBENATD_VERSION},
                                    {"commit", KUBENATD_COMMIT},
                                    {"commitDate", KUBENATD_COMMIT_DATE},
                                    {"compiler", __VERSION__},
                                    {"libraries", libraries()}};
  return json.dump(2) + "\n";
}

int version(const Options& options) {
  if (options.version_json) {
    std::fputs(version_document().c_str(), stdout);
  } else {
    std::puts("kubenatd " KUBENATD_VERSION);
  }
  return finish_output() ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent::cli
