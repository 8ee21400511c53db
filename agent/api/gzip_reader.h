#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string_view>

struct z_stream_s;

namespace kubenatd::agent::api {

/// Unpacks a body in gzip (RFC 1952), block by block.
///
/// Threading: one thread. Failure: next() gives nothing when the bytes are no gzip; then this is of no more use. Cost:
/// a piece of 64 kB, and zlib's window (some 40 kB).
class GzipReader {
 public:
  GzipReader();
  ~GzipReader();
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  /// The next bytes of the body, which must stay until next() has given all of them unpacked.
  void feed(std::string_view packed);
  /// A piece of what was packed, valid until the next call; empty: more must be fed.
  [[nodiscard]] std::optional<std::string_view> next();
  /// The end has come, with the right sum.
  [[nodiscard]] bool complete() const { return complete_; }

 private:
  struct End {
    void operator()(z_stream_s* stream) const;
  };
  std::unique_ptr<z_stream_s, End> stream_;
  bool complete_ = false;
  std::array<char, 65'536> piece_;  // not cleared: next() fills it
};

}  // namespace kubenatd::agent::api
