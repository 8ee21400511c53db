#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "test/support/places.h"
#include "test/support/process.h"

/// What the tests of the image and of the package need.
namespace kubenatd::test {

inline const std::string kImageScript = project_file("scripts/image.sh");

/// Why nothing can be made of the binary here, or nothing.
inline std::optional<std::string> packages_missing() {
  if (run({"sh", "-c", "command -v dpkg-query dpkg-shlibdeps ldd readelf strip numfmt >/dev/null"}).status != 0) {
    return "images and packages are made with dpkg, dpkg-shlibdeps, ldd, readelf and strip, which are not all here";
  }
  // The sanitizers' libraries are not for an image.
  if (run({"sh", "-c", "ldd \"$0\" | grep -q -E 'lib(a|t|ub)san'", program()}).ok()) {
    return "the binary is built with sanitizers";
  }
  return std::nullopt;
}

/// Why nothing can be made for arm64 here, or nothing. A test builds for no other architecture: that takes minutes.
inline std::optional<std::string> arm64_missing() {
  if (!std::filesystem::exists(project_file("build/arm64/kubenatd"))) {
    return "kubenatd is not built for arm64: scripts/cross.sh arm64";
  }
  if (!run({"sh", "-c", "command -v aarch64-linux-gnu-strip mmdebstrap"}).ok()) {
    return "the cross tools are not installed: scripts/install.sh cross";
  }
  return std::nullopt;
}

inline ProcessOptions with_time() {
  ProcessOptions options;
  options.timeout = std::chrono::seconds(200);
  return options;
}

}  // namespace kubenatd::test
