#include "agent/sources/manifest_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "test/unit/sources/manifest_support.h"

using namespace kubenatd::agent::base;
using namespace kubenatd::agent::objects;
using namespace kubenatd::agent::sources;
using namespace kubenatd::agent::sources::test;

TEST_CASE("every manifest below the folder is loaded") {
  const Folder folder;
  fs::create_directories(folder / "a/b");
  write(folder / "one.yaml", service("one") + service("two"));
  write(folder / "a/b/three.yml", service("three"));
  write(
      folder / "a/four.json",
      R"({"items":[{"apiVersion":"v1","kind":"Service","metadata":{"name":"four"},"spec":{"clusterIP":"None"}}],"kind":"List"})");
  write(folder / "readme.txt", "not: [read");
  write(folder / ".#one.yaml", "not: [read");
  write(folder / "other.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}");
  Follower follower({folder.path()});
  CHECK(follower.objects.size() == 4);
  CHECK(follower.problems.empty());
  CHECK(follower.passed_over == std::vector{(folder / "other.yaml").string() + ": ConfigMap c: this kind is not used"});
  follower.follow();
  CHECK(follower.events == 0);
}

TEST_CASE("a folder that is not there is an error when it is opened") {
  const auto opened = ManifestSource::open({"/nonexistent/manifests"});
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == ENOENT);
  const Folder folder;
  write(folder / "file", "");
  CHECK_FALSE(ManifestSource::open({folder / "file"}));
}

TEST_CASE("files that come, change and go are followed") {
  const Folder folder;
  write(folder / "a.yaml", service("a"));
  Follower follower({folder.path()});

  write(folder / "b.yaml", service("b"));
  follower.follow();
  CHECK(follower.events == 1);
  CHECK(follower.port_of("b") == 80);

  // Only what is really different is an event.
  write(folder / "b.yaml", "# a comment\n" + service("b") + service("c"));
  follower.follow();
  CHECK(follower.events == 1);
  CHECK(follower.port_of("c") == 80);

  // As editors do it.
  write(folder / "b.yaml.tmp", service("b", 81));
  fs::rename(folder / "b.yaml.tmp", folder / "b.yaml");
  follower.follow();
  CHECK(follower.events == 2);
  CHECK(follower.port_of("b") == 81);
  CHECK(follower.port_of("c") == 0);

  fs::rename(folder / "b.yaml", folder / "b.yaml.off");
  fs::remove(folder / "a.yaml");
  follower.follow();
  CHECK(follower.objects.empty());

  fs::create_hard_link(folder / "b.yaml.off", folder / "d.yaml");
  follower.follow();
  CHECK(follower.port_of("b") == 81);
}

TEST_CASE("sub-folders that come, move and go are followed") {
  const Folder folder;
  const Folder outside;
  Follower follower({folder.path()});
  fs::create_directories(folder / "x/y");
  write(folder / "x/y/a.yaml", service("a"));
  follower.follow();
  CHECK(follower.port_of("a") == 80);
  write(folder / "x/y/a.yaml", service("a", 81));
  follower.follow();
  CHECK(follower.port_of("a") == 81);
  fs::rename(folder / "x", folder / "z");
  follower.follow();
  CHECK(follower.port_of("a") == 81);
  CHECK(follower.events == 0);
  write(folder / "z/y/a.yaml", service("a", 82));
  follower.follow();
  CHECK(follower.port_of("a") == 82);
  fs::rename(folder / "z", outside / "z");
  follower.follow();
  CHECK(follower.objects.empty());
  write(outside / "z/y/a.yaml", service("a", 83));
  follower.follow();
  CHECK(follower.objects.empty());
  fs::rename(outside / "z", folder / "z");
  follower.follow();
  CHECK(follower.port_of("a") == 83);
  fs::remove_all(folder / "z");
  follower.follow();
  CHECK(follower.objects.empty());
}

TEST_CASE("a mounted ConfigMap is followed through its links") {
  const Folder folder;
  fs::create_directory(folder / "..1");
  write(folder / "..1/a.yaml", service("a", 1));
  fs::create_directory_symlink("..1", folder / "..data");
  fs::create_symlink("..data/a.yaml", folder / "a.yaml");
  Follower follower({folder.path()});
  CHECK(follower.objects.size() == 1);
  CHECK(follower.port_of("a") == 1);
  // Several rounds: each leaves new directories to watch.
  for (int round = 2; round < 6; ++round) {
    const std::string next = fmt::format("..{}", round);
    fs::create_directory(folder / next);
    write(folder / (next + "/a.yaml"), service("a", round));
    fs::create_directory_symlink(next, folder / "..data_tmp");
    fs::rename(folder / "..data_tmp", folder / "..data");
    fs::remove_all(folder / fmt::format("..{}", round - 1));
    follower.follow();
    CHECK(follower.port_of("a") == round);
    CHECK(follower.problems.empty());
  }
}

TEST_CASE("links to files and folders elsewhere are followed") {
  const Folder folder;
  const Folder outside;
  fs::create_directory(outside / "sub");
  write(outside / "a.yaml", service("a", 1));
  write(outside / "sub/b.yaml", service("b", 1));
  fs::create_symlink(outside / "a.yaml", folder / "a.yaml");
  Follower follower({folder.path()});
  CHECK(follower.port_of("a") == 1);
  write(outside / "a.yaml", service("a", 2));
  follower.follow();
  CHECK(follower.port_of("a") == 2);
  fs::remove(outside / "a.yaml");
  follower.follow();
  CHECK(follower.port_of("a") == 0);
  write(outside / "a.yaml", service("a", 3));
  follower.follow();
  CHECK(follower.port_of("a") == 3);
  fs::create_directory_symlink(outside / "sub", folder / "link");
  follower.follow();
  CHECK(follower.port_of("b") == 1);
  write(outside / "sub/b.yaml", service("b", 2));
  follower.follow();
  CHECK(follower.port_of("b") == 2);
  // A loop is walked once.
  fs::create_directory_symlink(folder.path(), folder / "loop");
  follower.follow();
  CHECK(follower.objects.size() == 2);
  fs::remove(folder / "link");
  follower.follow();
  CHECK(follower.port_of("b") == 0);
}

TEST_CASE("the folder itself may be replaced, or be a link that is turned") {
  const Folder parent;
  fs::create_directory(parent / "one");
  fs::create_directory(parent / "two");
  write(parent / "one/a.yaml", service("a", 1));
  write(parent / "two/a.yaml", service("a", 2));
  fs::create_directory_symlink("one", parent / "link");
  Follower follower({parent / "link"});
  CHECK(follower.port_of("a") == 1);
  fs::create_directory_symlink("two", parent / "new");
  fs::rename(parent / "new", parent / "link");
  follower.follow();
  CHECK(follower.port_of("a") == 2);

  Follower plain({parent / "one"});
  fs::remove_all(parent / "one");
  plain.follow();
  CHECK(plain.objects.empty());
  CHECK_FALSE(plain.problems.empty());
  fs::create_directory(parent / "one");
  write(parent / "one/a.yaml", service("a", 3));
  plain.follow();
  CHECK(plain.port_of("a") == 3);
}

TEST_CASE("what is left out is told by object, too") {
  const Folder folder;
  write(folder / "a.yaml", service("good") + service("bad", 70000) +
                               "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\nkind: [\n");
  const Follower follower({folder.path()});
  REQUIRE(follower.left_out.size() == 2);
  CHECK(follower.left_out[0].object == "Service default/bad");
  CHECK(follower.left_out[0].reason ==
        "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive");
  REQUIRE(follower.left_out[0].addresses.size() == 1);
  CHECK(follower.left_out[0].addresses[0].to_string() == "10.96.0.1");
  CHECK(follower.left_out[1].object == "file " + (folder / "a.yaml").string());
}

TEST_CASE("a file that cannot be parsed keeps what it gave") {
  const Folder folder;
  write(folder / "a.yaml", service("a") + service("b"));
  write(folder / "good.yaml", service("good"));
  Follower follower({folder.path()});
  write(folder / "a.yaml", service("a") + "---\nkind: [\n");
  follower.follow();
  CHECK(follower.events == 0);
  REQUIRE_FALSE(follower.problems.empty());
  CHECK_THAT(follower.problems[0], Catch::Contains("a.yaml: line ") && Catch::Contains("read YAML"));
  write(folder / "a.yaml", service("a", 81));
  follower.follow();
  CHECK(follower.port_of("a") == 81);
  CHECK(follower.port_of("b") == 0);
  // A file that never was whole gives what can be read.
  write(folder / "new.yaml", service("c") + "---\nkind: [\n");
  follower.follow();
  CHECK(follower.port_of("c") == 80);
  CHECK_FALSE(follower.problems.empty());
}

TEST_CASE("a refused object leaves the rest working") {
  const Folder folder;
  write(folder / "a.yaml", service("a") + service("b", 70000) + service("c"));
  Follower follower({folder.path()});
  CHECK(follower.port_of("a") == 80);
  CHECK(follower.port_of("c") == 80);
  REQUIRE(follower.problems.size() == 1);
  CHECK(follower.problems[0] ==
        (folder / "a.yaml").string() +
            ": Service default/b: spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive");
}

TEST_CASE("files that are no regular files or too large are told and left") {
  const Folder folder;
  REQUIRE(::mkfifo((folder / "fifo.yaml").c_str(), 0600) == 0);
  write(folder / "large.yaml", "");
  fs::resize_file(folder / "large.yaml", (64U << 20) + 1);
  write(folder / "a.yaml", service("a"));
  Follower follower({folder.path()});
  CHECK(follower.objects.size() == 1);
  REQUIRE(follower.problems.size() == 2);
  CHECK_THAT(follower.problems[0], Catch::Contains("not a regular file"));
  CHECK_THAT(follower.problems[1], Catch::Contains("larger than 64 MiB"));
}

TEST_CASE("of an object that several files give, that of the later path counts") {
  const Folder folder;
  write(folder / "a.yaml", service("s", 1));
  write(folder / "c.yaml", service("s", 3) + service("s", 4));
  Follower follower({folder.path()});
  CHECK(follower.port_of("s") == 4);
  CHECK(follower.problems.empty());
  CHECK(follower.remarks.size() == 1);
  write(folder / "b.yaml", service("s", 2));
  follower.follow();
  CHECK(follower.events == 0);
  CHECK(follower.remarks.size() == 1);
  fs::remove(folder / "c.yaml");
  follower.follow();
  CHECK(follower.port_of("s") == 2);
  fs::remove(folder / "b.yaml");
  follower.follow();
  CHECK(follower.port_of("s") == 1);
}

TEST_CASE("a folder inside another one is read once") {
  const Folder folder;
  fs::create_directory(folder / "sub");
  write(folder / "sub/a.yaml", service("a"));
  for (const auto& folders :
       {std::vector{folder / "sub", folder.path(), folder.path()}, std::vector{folder.path(), folder / "sub/"}}) {
    Follower follower(folders);
    CHECK(follower.port_of("a") == 80);
    CHECK(follower.problems.empty());
  }
}

TEST_CASE("endpoints are derived from the folder's Pods, and step back for slices") {
  const Folder folder;
  write(folder / "web.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
        "spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}\n"
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: web}}\n"
        "status: {podIP: 10.244.0.1, conditions: [{type: Ready, status: 'True'}]}\n");
  Follower follower({folder.path()});
  CHECK(follower.objects.contains("EndpointSlice default/web~ipv4~8080"));
  write(folder / "slice.yaml",
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n"
        "metadata: {name: own, labels: {kubernetes.io/service-name: web}}\n");
  follower.follow();
  CHECK_FALSE(follower.objects.contains("EndpointSlice default/web~ipv4~8080"));
  CHECK(follower.objects.contains("EndpointSlice default/own"));
  fs::remove(folder / "slice.yaml");
  follower.follow();
  CHECK(follower.objects.contains("EndpointSlice default/web~ipv4~8080"));
}

TEST_CASE("lost notifications are made up for by reading everything") {
  const Folder folder;
  for (int i = 0; i < 100; ++i) write(folder / fmt::format("f{}.yaml", i), service(fmt::format("s{}", i), 1));
  Follower follower({folder.path()});
  // More events than fs.inotify.max_queued_events (16384 by default), each different from the one before.
  const int files[] = {::open((folder / "x").c_str(), O_CREAT | O_WRONLY, 0600),
                       ::open((folder / "y").c_str(), O_CREAT | O_WRONLY, 0600)};
  for (int i = 0; i < 20'000; ++i) (void)::fchmod(files[i % 2], i % 4 < 2 ? 0600 : 0644);
  ::close(files[0]);
  ::close(files[1]);
  write(folder / "f50.yaml", service("s50", 2));
  fs::remove(folder / "f51.yaml");
  write(folder / "new.yaml", service("new", 3));
  follower.follow();
  CHECK(follower.port_of("s50") == 2);
  CHECK(follower.port_of("s51") == 0);
  CHECK(follower.port_of("new") == 3);
}
