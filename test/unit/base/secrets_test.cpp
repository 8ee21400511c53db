#include "agent/base/secrets.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "agent/base/base64.h"

using namespace kubenatd::agent::base;

namespace {

constexpr const char* kSecret = "correct.horse~battery";

}  // namespace

TEST_CASE("What looks like a secret is left out of a text") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"https://admin:s3cret@10.0.0.1:6443/x", "https://[left out]@10.0.0.1:6443/x"},
      {"proxy http://a:b@c@proxy:3128", "proxy http://[left out]@proxy:3128"},
      {"Authorization: Bearer abcdefgh.ijk", "Authorization: Bearer [left out]"},
      {"authorization: basic dXNlcjpwYXNz", "authorization: basic [left out]"},
      {"a eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln b", "a [left out] b"},
      {"join abcdef.0123456789abcdef now", "join [left out] now"},
      {"--token=abc", "--token=[left out]"},
      {"/api?access_token=abc&x=1", "/api?access_token=[left out]&x=1"},
      {R"({"client-key-data":"QUJD","x":1})", R"({"client-key-data":"[left out]","x":1})"},
      {R"(err="{\"password\":\"abc\"}")", R"(err="{\"password\":\"[left out]\"}")"},
      {"password: hunter2\nnext", "password: [left out]\nnext"},
      {"read token: No such file or directory", "read token: No such file or directory"},
      {"tokenFile: /var/run/token", "tokenFile: /var/run/token"},
      {"users[0].user.token of /etc/kubeconfig", "users[0].user.token of /etc/kubeconfig"},
      {"x -----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- y", "x [left out] y"},
      {"x -----BEGIN CERTIFICATE-----\\nMHc", "x [left out]"},
      {"data LS0tLS1CRUdJTiBDRVJU", "data [left out]"},
      {"MIIBVTCB+wIJAJ0mBqjWwJXLMAoGCCqGSM49BAMCMBQxEjAQBgNV", "[left out]"},
      // What only looks a little like it.
      {"KUBE-SVC-ABCDEFGHIJKLMNOP -m comment --comment demo/web:http",
       "KUBE-SVC-ABCDEFGHIJKLMNOP -m comment --comment demo/web:http"},
      {"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
       "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
      {"kubeproxy_sync_proxy_rules_duration_seconds_bucket{le=\"0.001\"} 3",
       "kubeproxy_sync_proxy_rules_duration_seconds_bucket{le=\"0.001\"} 3"},
      {"https://10.0.0.1:6443: GET: a@b", "https://10.0.0.1:6443: GET: a@b"},
      {"", ""},
  };
  for (const auto& [text, wanted] : cases) {
    CHECK(without_secret_forms(text) == wanted);
    CHECK(without_secret_forms(wanted) == wanted);
  }
}

TEST_CASE("A known secret is left out in every form that it takes") {
  Secrets secrets;
  secrets.add(kSecret);
  secrets.add("-----BEGIN X-----\nfirstlineofthekey\nlast\n-----END X-----\n");
  secrets.add_user_of("https://kate:p%40ss@host:6443/path");
  const std::string text = std::string("a ") + kSecret + " b" + kSecret + "\n" + encode_base64(kSecret) +
                           "\nfirstlineofthekey last p%40ss " + encode_base64("kate:p%40ss");
  const std::string shown = secrets.without(text);
  INFO(shown);
  for (const std::string& gone : {std::string(kSecret), encode_base64(kSecret), std::string("firstlineofthekey"),
                                  std::string("p%40ss"), encode_base64("kate:p%40ss")})
    CHECK(shown.find(gone) == std::string::npos);
  CHECK(shown.starts_with("a [left out] b[left out]\n"));
}

TEST_CASE("A known secret that is a part of another one does not keep the rest of it") {
  Secrets secrets;
  secrets.add("abcd");
  secrets.add("abcdefgh");
  CHECK(secrets.without("x abcdefgh y abcd z") == "x [left out] y [left out] z");
}

TEST_CASE("Addresses of mail and short words are no secrets") {
  Secrets secrets;
  secrets.add_user_of("root@node-1");
  secrets.add_user_of("https://10.0.0.1:6443/a@b");
  secrets.add("abc");
  CHECK(secrets.empty());
}

TEST_CASE("A secret in random surroundings never stays") {
  std::mt19937 random(7);
  const std::string letters = "abcXYZ019 \t\n:=/@\"'\\.,-_[]{}?&%";
  for (int round = 0; round < 3000; ++round) {
    std::string secret = "s3Cret";
    for (int i = 0; i < 6; ++i) secret += letters[random() % letters.size()];
    // Lines count one by one, and blanks at their ends do not.
    std::erase_if(secret, [](char c) { return c == '\n' || c == ' ' || c == '\t'; });
    std::string text;
    for (int i = 0; i < 40; ++i) text += letters[random() % letters.size()];
    text.insert(random() % text.size(), secret);
    Secrets secrets;
    secrets.add(secret);
    INFO(secret << " in " << text);
    REQUIRE(secrets.without(text).find(secret) == std::string::npos);
  }
}
