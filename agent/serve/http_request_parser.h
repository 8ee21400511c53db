#pragma once

#include <array>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <cstddef>
#include <optional>
#include <string>

namespace kubenatd::agent::serve {

/// Beast's parser of requests, which keeps of a request only what the pages look at: method, target and three fields.
///
/// Purpose: Beast's own request_parser keeps each field as it comes, some 20 times the bytes of small ones
/// (Boost 1.74). Here nothing of other fields stays, and all fields, trailers and extensions of chunks count together.
/// Threading: one thread. Failure: put() gives an error, header_limit when there is too much. Cost: the request line
/// and those fields.
class HttpRequestParser final : public boost::beast::http::basic_parser<true> {
 public:
  /// What all fields may have together.
  explicit HttpRequestParser(std::size_t header_bytes) : left_(header_bytes) { eager(true); }

  [[nodiscard]] const std::string& method() const { return method_; }
  [[nodiscard]] const std::string& target() const { return target_; }
  [[nodiscard]] bool http_1_0() const { return version_ < 11; }
  /// Calls `visit` with name and value of each field that was kept. One that came more than once is a list (RFC 9110,
  /// 5.3).
  template <class Visit>
  void for_each_field(const Visit& visit) const {
    for (const Kept& kept : fields_)
      if (kept.value) visit(kept.name, *kept.value);
  }

 private:
  using ErrorCode = boost::beast::error_code;
  using StringView = boost::beast::string_view;
  using Optional = boost::optional<std::uint64_t>;

  void on_request_impl(boost::beast::http::verb, StringView method, StringView target, int version,
                       ErrorCode& error) override {
    method_ = std::string(method);
    target_ = std::string(target);
    version_ = version;
    count(method.size() + target.size(), error);
  }
  void on_response_impl(int, StringView, int, ErrorCode&) override {}
  void on_field_impl(boost::beast::http::field field, StringView name, StringView value, ErrorCode& error) override {
    constexpr std::size_t kAround = 4;  // ": " and the end of the line
    count(name.size() + value.size() + kAround, error);
    if (error) return;
    for (Kept& kept : fields_)
      if (kept.field == field)
        kept.value = (kept.value ? *kept.value + ", " : std::string()).append(value.data(), value.size());
  }
  void on_header_impl(ErrorCode&) override {}
  void on_body_init_impl(const Optional&, ErrorCode&) override {}
  std::size_t on_body_impl(StringView body, ErrorCode&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, StringView extensions, ErrorCode& error) override {
    count(extensions.size(), error);
  }
  std::size_t on_chunk_body_impl(std::uint64_t, StringView body, ErrorCode&) override { return body.size(); }
  void on_finish_impl(ErrorCode&) override {}

  void count(std::size_t bytes, ErrorCode& error) {
    if (bytes > left_) {
      error = boost::beast::http::error::header_limit;
    } else {
      left_ -= bytes;
    }
  }

  struct Kept {
    boost::beast::http::field field;
    const char* name;
    std::optional<std::string> value{};
  };

  std::size_t left_;
  std::array<Kept, 3> fields_{{{boost::beast::http::field::host, "Host"},
                               {boost::beast::http::field::if_none_match, "If-None-Match"},
                               {boost::beast::http::field::accept, "Accept"}}};
  std::string method_;
  std::string target_;
  int version_ = 11;
};

}  // namespace kubenatd::agent::serve
