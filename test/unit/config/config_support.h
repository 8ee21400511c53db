#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <string_view>

#include "agent/config/config.h"
#include "test/unit/config/sample_files.h"

namespace kubenatd::test {

/// A file with these fields behind the header that every file needs; it has to be accepted.
inline agent::config::LoadedConfig accepted(const std::string& fields) {
  const auto loaded = agent::config::parse_config(kHeader + fields, "config.yaml");
  if (!loaded) FAIL(loaded.error().to_string());
  return *loaded;
}

/// The cause of the error for a file with these fields; it has to be refused.
inline std::string refused(const std::string& fields) {
  const auto loaded = agent::config::parse_config(kHeader + fields, "config.yaml");
  if (loaded) FAIL("accepted: " + fields);
  CHECK(loaded.error().object == "config.yaml");
  CHECK(loaded.error().operation == "read configuration");
  CHECK(loaded.error().cause.find('\n') == std::string::npos);
  return loaded.error().cause;
}

}  // namespace kubenatd::test
