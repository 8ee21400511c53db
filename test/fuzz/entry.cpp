#include "test/fuzz/fuzz.h"

/// libFuzzer's entry.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kubenatd::fuzz::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
