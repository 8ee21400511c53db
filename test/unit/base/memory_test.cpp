#include "agent/base/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

#include "test/support/process.h"

using namespace kubenatd;

namespace {

constexpr std::size_t kSize = 1 << 20;

/// A file's content, mapped.
class MappedFile {
 public:
  explicit MappedFile(int rights) {
    const std::string path = folder_.path() / "pages";
    std::ofstream(path) << std::string(kSize, 'a');
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(file >= 0);
    pages_ = ::mmap(nullptr, kSize, rights, MAP_PRIVATE, file, 0);
    ::close(file);
    REQUIRE(pages_ != MAP_FAILED);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() { ::munmap(pages_, kSize); }

  [[nodiscard]] char* data() const { return static_cast<char*>(pages_); }
  [[nodiscard]] bool is_all(char value) const {
    return std::all_of(data(), data() + kSize, [&](char one) { return one == value; });
  }
  /// KiB that this process has in its page table.
  [[nodiscard]] int resident() const {
    std::ifstream smaps("/proc/self/smaps");
    bool mine = false;
    for (std::string line; std::getline(smaps, line);) {
      std::uintptr_t begin = 0;
      const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), begin, 16);
      if (error == std::errc{} && *end == '-') mine = begin == reinterpret_cast<std::uintptr_t>(pages_);
      if (mine && line.starts_with("Rss:")) return std::stoi(line.substr(4));
    }
    return -1;
  }

 private:
  test::TempFolder folder_;
  void* pages_ = MAP_FAILED;
};

}  // namespace

TEST_CASE("what a file has mapped is given back, and is there again when it is read") {
  const MappedFile constants(PROT_READ);
  REQUIRE(constants.is_all('a'));
  REQUIRE(constants.resident() == kSize / 1024);
  agent::base::give_back_memory();
  CHECK(constants.resident() == 0);
  CHECK(constants.is_all('a'));
}

TEST_CASE("what was written over a file's content is kept, also where nothing may be written any more") {
  const MappedFile relocated(PROT_READ | PROT_WRITE);
  std::fill_n(relocated.data(), kSize, 'b');
  REQUIRE(::mprotect(relocated.data(), kSize, PROT_READ) == 0);
  agent::base::give_back_memory();
  CHECK(relocated.is_all('b'));
}
