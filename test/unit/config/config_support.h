#pragma once

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
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

/// A file of its own, removed at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) {
    std::string name = (std::filesystem::temp_directory_path() / "kubenatd-config-XXXXXX").string();
    const int fd = ::mkstemp(name.data());
    REQUIRE(fd >= 0);
    path_ = name;
    std::FILE* file = ::fdopen(fd, "w");
    REQUIRE(file != nullptr);
    CHECK(std::fwrite(content.data(), 1, content.size(), file) == content.size());
    CHECK(std::fclose(file) == 0);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::remove(path_.c_str()); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace kubenatd::test
