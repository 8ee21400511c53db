#include "agent/base/printable.h"

#include <catch2/catch.hpp>

using namespace kubenatd::agent::base;

TEST_CASE("text that could mislead a reader is escaped") {
  CHECK(in_quotes("plain") == R"("plain")");
  CHECK(in_quotes("k\u00f6ln \u65e5") == "\"k\u00f6ln \u65e5\"");
  CHECK(in_quotes("a\"b\\c") == R"("a\"b\\c")");
  CHECK(in_quotes("a\nb\tc\rd") == R"("a\nb\tc\rd")");
  CHECK(in_quotes(std::string_view("\0\x1b[31m\x7f", 7)) == R"("\x00\x1b[31m\x7f")");
  CHECK(in_quotes("\u202egnp.exe") == R"("\u{202e}gnp.exe")");
  CHECK(in_quotes("\u0085") == R"("\u{85}")");
}

TEST_CASE("text without quotes keeps its quotes and backslashes") {
  CHECK(one_line("a \"b\" c\\d", 80) == R"(a "b" c\d)");
  CHECK(one_line("a\nb", 80) == R"(a\nb)");
}

TEST_CASE("bytes that are not UTF-8 are escaped one by one") {
  CHECK(in_quotes("\xff") == R"("\xff")");
  CHECK(in_quotes("\xc3") == R"("\xc3")");
  CHECK(in_quotes("\xc3(") == R"("\xc3(")");
  CHECK(in_quotes("\xc0\xaf") == R"("\xc0\xaf")");          // overlong
  CHECK(in_quotes("\xed\xa0\x80") == R"("\xed\xa0\x80")");  // surrogate
}

TEST_CASE("long text is cut at a character") {
  CHECK(in_quotes(std::string(100, 'x')).size() == 85);
  CHECK(escaped("abc", 3) == "abc");
  CHECK(escaped("abcd", 3) == "abc...");
  CHECK(escaped("ab\u00f6", 3) == "ab...");
}

TEST_CASE("blanks around text are removed") {
  CHECK(trimmed(" \t a b\r\n") == "a b");
  CHECK(trimmed(" \n").empty());
}
