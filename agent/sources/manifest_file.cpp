// OpenSSL 3.0 calls the plain functions deprecated; unlike those that replace them they cannot fail.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "agent/sources/manifest_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/base/descriptor.h"
#include "agent/base/printable.h"
#include "agent/documents/read.h"
#include "agent/objects/decode.h"
#include "agent/sources/unallocated.h"

namespace kubenatd::agent::sources {
namespace {

constexpr std::size_t kLongestPath = 4096;

std::int64_t nanoseconds(const timespec& time) {
  constexpr std::int64_t kPerSecond = 1'000'000'000;
  return time.tv_sec * kPerSecond + time.tv_nsec;
}

std::unexpected<rules::Error> failed(const std::string& path, std::string operation, int code) {
  return rules::fail(base::one_line(path, kLongestPath), std::move(operation), std::strerror(code), code);
}

/// Lines about one file, at most so many: a file of a million wrong documents says so in one.
class Lines {
 public:
  Lines(std::vector<std::string>& lines, std::string file) : lines_(lines), file_(std::move(file)) {}
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  ~Lines() {
    if (more_ > 0) lines_.push_back(fmt::format("{}: {} more lines like these", file_, more_));
  }
  void add(const std::string& text) {
    constexpr std::size_t kMostLines = 50;
    if (lines_.size() < kMostLines)
      lines_.push_back(fmt::format("{}: {}", file_, text));
    else
      ++more_;
  }

 private:
  std::vector<std::string>& lines_;
  std::string file_;
  std::size_t more_ = 0;
};

}  // namespace

FileSignature FileSignature::of(const struct stat& info) {
  return {info.st_dev, info.st_ino, info.st_size, nanoseconds(info.st_mtim), nanoseconds(info.st_ctim)};
}

TextDigest digest_of(std::string_view text) {
  TextDigest digest{};
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, text.data(), text.size());
  SHA256_Final(digest.data(), &context);
  return digest;
}

bool is_manifest_name(std::string_view name) {
  return !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json"));
}

rules::Result<std::string> read_text(const std::string& path) {
  // O_NONBLOCK: a FIFO with a manifest's name must not stop the agent.
  const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return failed(path, "open", errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return failed(path, "stat", errno);
  if (!S_ISREG(info.st_mode))
    return rules::fail(base::one_line(path, kLongestPath), "open", "is not a regular file", EINVAL);
  const auto too_large = [&path] {
    return rules::fail(base::one_line(path, kLongestPath), "read",
                       fmt::format("is larger than {} MiB", kLargestFile >> 20U), EFBIG);
  };
  if (static_cast<std::uint64_t>(info.st_size) > kLargestFile) return too_large();

  std::string text;
  constexpr std::size_t kSpare = 4096;  // room for the read that finds the end
  text.resize(static_cast<std::size_t>(info.st_size) + kSpare);
  std::size_t filled = 0;
  for (;;) {
    const ssize_t got = ::read(file.get(), text.data() + filled, text.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(path, "read", errno);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
    if (filled > kLargestFile) return too_large();
    if (filled == text.size()) text.resize(text.size() * 2);
  }
  text.resize(filled);
  return text;
}

ManifestFile parse_manifest(const std::string& path, std::string_view text,
                            const std::function<objects::ObjectPtr(objects::Object&&)>& keep) {
  ManifestFile file;
  Lines problems(file.problems, base::one_line(path, kLongestPath));
  Lines remarks(file.remarks, base::one_line(path, kLongestPath));
  Lines passed_over(file.passed_over, base::one_line(path, kLongestPath));
  const auto leave_out = [&](objects::PassedOver one) {
    constexpr std::size_t kMostLeftOut = 10'000;
    if (file.left_out.size() < kMostLeftOut && is_worth_telling(one)) file.left_out.push_back(std::move(one));
  };
  const auto visit = [&](nlohmann::json&& document) {
    auto decoded = objects::decode_object(document);
    if (!decoded) {
      problems.add(decoded.error().to_string());
      leave_out(objects::passed_over(document, decoded.error()));
      return;
    }
    for (const std::string& remark : decoded->remarks) {
      remarks.add(remark);
      leave_out(objects::passed_over(document, remark));
    }
    if (decoded->object) {
      for (const std::string& line : unallocated(*decoded->object)) {
        remarks.add(line);
        leave_out(objects::passed_over(document, line));
      }
      file.objects.push_back(keep(std::move(*decoded->object)));
      return;
    }
    passed_over.add(decoded->passed_over);
    leave_out(objects::passed_over(document, decoded->passed_over));
  };
  const auto bad = [&](documents::BadDocument&& one) {
    // A kind that is not used can have been no object of ours.
    const bool unused = !one.kind.empty() && !one.kind.ends_with("List") && !objects::is_used_kind(one.kind);
    const std::string of_kind = one.kind.empty() ? std::string() : fmt::format(" (kind {})", one.kind);
    (unused ? remarks : problems).add(one.error.to_string() + of_kind);
    if (!unused) leave_out({"file " + base::one_line(path, kLongestPath), one.error.to_string(), {}, {}});
    file.complete = file.complete && unused;
  };
  documents::read_documents(text,
                            {.document = visit, .bad = bad, .remark = [&](std::string&& line) { remarks.add(line); }});
  return file;
}

}  // namespace kubenatd::agent::sources
