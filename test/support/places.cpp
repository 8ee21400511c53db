#include "test/support/places.h"

namespace kubenatd::test {

std::string program() {
  return KUBENATD_BINARY;
}

std::string project_file(std::string_view path) {
  return std::string(KUBENATD_SOURCE_DIR "/").append(path);
}

}  // namespace kubenatd::test
