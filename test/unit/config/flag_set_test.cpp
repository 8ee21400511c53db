#include "agent/config/flag_set.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace kubenatd;
using namespace kubenatd::agent::config;

namespace {

/// Two bools, a text, a text with a shorthand and a flag that counts.
struct Sample {
  bool all = false;
  bool quick = false;
  std::string name = "unset";
  std::string output = "unset";
  std::vector<std::string> levels;
  int counted = 0;
  FlagSet flags;

  Sample() {
    Flag short_all = bool_flag("all", "All of it", all);
    short_all.shorthand = 'a';
    flags.add(std::move(short_all));
    Flag short_quick = bool_flag("be-quick", "No delay", quick);
    short_quick.shorthand = 'q';
    flags.add(std::move(short_quick));
    flags.add(text_flag("the-name", "NAME", "Its name", name));
    Flag short_output = text_flag("output", "FORM", "Form", output);
    short_output.shorthand = 'o';
    flags.add(std::move(short_output));
    flags.add({.name = "v",
               .shorthand = 'v',
               .type = "N",
               .help = "Level",
               .fallback = "0",
               .group = "Log",
               .alone = std::nullopt,
               .set = [this](const std::string& text) -> std::optional<std::string> {
                 if (text == "bad") return "it is bad";
                 levels.push_back(text);
                 return std::nullopt;
               },
               .count = [this] { ++counted; }});
  }

  ParsedWords parsed(const std::vector<std::string>& words) const {
    auto read = flags.parse(words);
    if (!read) FAIL(read.error().cause);
    return std::move(*read);
  }
  std::string mistake(const std::vector<std::string>& words) const {
    const auto read = flags.parse(words);
    if (read) FAIL("accepted");
    return read.error().cause;
  }
};

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("flag set: a value stands behind an equals sign or in the next word") {
  Sample sample;
  CHECK(sample.parsed({"--the-name=a", "--output", "b", "rest"}).arguments == Words{"rest"});
  CHECK(sample.name == "a");
  CHECK(sample.output == "b");
  CHECK(sample.parsed({"--the-name="}).arguments.empty());
  CHECK(sample.name.empty());
  (void)sample.parsed({"--the-name==x=y"});
  CHECK(sample.name == "=x=y");
  (void)sample.parsed({"--the_name=under"});
  CHECK(sample.name == "under");
  CHECK(sample.mistake({"--the-name"}) == "flag needs an argument: --the-name");
}

TEST_CASE("flag set: the next word is the value whatever it is and that is remarked when it looks like a flag") {
  Sample sample;
  CHECK(sample.parsed({"--the-name", "-a"}).remarks.empty());
  CHECK(sample.name == "-a");
  CHECK_FALSE(sample.all);
  CHECK(sample.parsed({"--the-name", "--all"}).remarks.size() == 1);
  CHECK(sample.name == "--all");
  CHECK(sample.parsed({"--the-name", "--"}).remarks.empty());
  CHECK(sample.parsed({"--the-name", ""}).arguments.empty());
  CHECK(sample.name.empty());
}

TEST_CASE("flag set: a bool takes no other word") {
  Sample sample;
  CHECK(sample.parsed({"--all", "false"}).arguments == Words{"false"});
  CHECK(sample.all);
  CHECK(sample.parsed({"--all=F"}).arguments.empty());
  CHECK_FALSE(sample.all);
  CHECK(sample.mistake({"--all="}) == R"(invalid argument "" for "-a, --all" flag: it is not true or false)");
}

TEST_CASE("flag set: shorthands") {
  Sample sample;
  CHECK(sample.parsed({"-aqojson"}).arguments.empty());
  CHECK(sample.all);
  CHECK(sample.quick);
  CHECK(sample.output == "json");
  (void)sample.parsed({"-o=yaml", "-a=false"});
  CHECK(sample.output == "yaml");
  CHECK_FALSE(sample.all);
  (void)sample.parsed({"-o="});
  CHECK(sample.output == "=");
  (void)sample.parsed({"-o", "text"});
  CHECK(sample.output == "text");
  CHECK(sample.mistake({"-o"}) == "flag needs an argument: 'o' in -o");
  CHECK(sample.mistake({"-ax"}) == "unknown shorthand flag: 'x' in -ax");
  CHECK(sample.parsed({"-", "-a"}).arguments == Words{"-"});
}

TEST_CASE("flag set: a flag that counts takes a number where there is one") {
  Sample sample;
  CHECK(sample.parsed({"-v", "10.96.0.1:80"}).arguments == Words{"10.96.0.1:80"});
  CHECK(sample.counted == 1);
  (void)sample.parsed({"-v", "3", "-v4", "-v=5", "--v", "6"});
  CHECK(sample.levels == Words{"3", "4", "5", "6"});
  (void)sample.parsed({"-vvv", "-v"});
  CHECK(sample.counted == 5);
  (void)sample.parsed({"-vva"});  // "a" would be the value of the last one, as with pflag
  CHECK(sample.levels.back() == "a");
  CHECK(sample.mistake({"-vbad"}) == R"(invalid argument "bad" for "-v, --v" flag: it is bad)");
  CHECK(sample.mistake({"--v"}) == "flag needs an argument: --v");
}

TEST_CASE("flag set: what is no flag") {
  Sample sample;
  CHECK(sample.parsed({"a", "--all", "", "--", "--be-quick", "--"}).arguments == Words{"a", "", "--be-quick", "--"});
  CHECK_FALSE(sample.quick);
  CHECK(sample.mistake({"--nope=1"}) == "unknown flag: --nope");
  CHECK(sample.mistake({"--=1"}) == "bad flag syntax: --=1");
  CHECK(sample.mistake({"---all"}) == "bad flag syntax: ---all");
  CHECK(sample.mistake({"--ALL"}) == "unknown flag: --ALL");
  CHECK(sample.mistake({"--no\npe"}).find('\n') == std::string::npos);
}

TEST_CASE("flag set: the first mistake ends the reading and what stood before it counts") {
  Sample sample;
  CHECK(sample.mistake({"--all", "--nope", "--be-quick"}) == "unknown flag: --nope");
  CHECK(sample.all);
  CHECK_FALSE(sample.quick);
}

TEST_CASE("flag set: the help is sorted and tells groups with types and defaults") {
  Sample sample;
  Flag hidden = text_flag("hidden", "X", "Not told", sample.name);
  hidden.is_hidden = true;
  sample.flags.add(std::move(hidden));
  sample.flags.add(text_flag("long-one", "TEXT", std::string(30, 'w') + " " + std::string(30, 'x') + " more words here",
                             sample.name));
  const std::string help = sample.flags.help();
  CHECK(help.find("\nFlags:\n  -a, --all ") == 0);
  CHECK(help.find("All of it (default false)\n") != std::string::npos);
  CHECK(help.find("--all") < help.find("--be-quick"));
  CHECK(help.find("--be-quick") < help.find("--output FORM"));
  CHECK(help.find("\nLog:\n  -v, --v N") != std::string::npos);
  CHECK(help.find("hidden") == std::string::npos);
  std::size_t longest = 0;
  for (std::size_t at = 0; at < help.size();) {
    const std::size_t end = help.find('\n', at);
    longest = std::max(longest, end - at);
    at = end + 1;
  }
  CHECK(longest <= 100);
  CHECK(sample.flags.find("be_quick") == sample.flags.find("be-quick"));
  CHECK(sample.flags.find("nope") == nullptr);
}
