#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>

#include "test/unit/sources/manifest_support.h"

/// Folders that change in ways that inotify does not tell, or tells elsewhere.
namespace kubenatd::agent::sources::test {
namespace {

/// A mount namespace of this process' own; false, and a line that counts the test as skipped, without the rights.
bool enter_mount_namespace() {
  if (::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) return true;
  std::printf("SKIPPED: no rights: a mount namespace of its own: %s\n", std::strerror(errno));
  return false;
}

/// A file in memory whose content changes without another size, and mostly without another time.
class MappedFile {
 public:
  explicit MappedFile(const std::string& text) : file_(::memfd_create("manifest", MFD_CLOEXEC)), size_(text.size()) {
    REQUIRE(file_ >= 0);
    REQUIRE(::ftruncate(file_, static_cast<off_t>(size_)) == 0);
    mapped_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    REQUIRE(mapped_ != MAP_FAILED);
    put(text);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() {
    ::munmap(mapped_, size_);
    ::close(file_);
  }

  /// A text as long as the first one.
  void put(const std::string& text) {
    REQUIRE(text.size() == size_);
    std::memcpy(mapped_, text.data(), size_);
  }
  void appear_as(const fs::path& link) const { fs::create_symlink(fmt::format("/proc/self/fd/{}", file_), link); }
  /// The nanoseconds of the time of its last write.
  [[nodiscard]] long written_at() const {
    struct stat info {};
    REQUIRE(::fstat(file_, &info) == 0);
    return info.st_mtim.tv_nsec;
  }

 private:
  int file_;
  std::size_t size_;
  void* mapped_ = nullptr;
};

/// Random changes in a tree: at the folder itself, above it, below it, and beside it where its links lead.
///
/// Threading: one thread. Failure: a change that is not possible is none. Cost: a few system calls.
class Tree {
 public:
  Tree(unsigned seed, bool mounts) : random_(seed), mounts_(mounts) {
    fs::create_directories(root());
    fs::create_directories(base_ / "out");
  }
  ~Tree() {
    while (!mounted_.empty()) unmount();
  }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  [[nodiscard]] fs::path root() const { return base_ / "up" / "mid" / "root"; }
  [[nodiscard]] std::string change() {
    std::error_code failed;
    const fs::path folder = some_folder();
    const fs::path file = folder / some_file_name();
    switch (below(mounts_ ? 14 : 11)) {
      case 0:
      case 1: write(file, some_text()); return "write " + file.string();
      case 2:
        write(folder / ".draft", some_text());
        fs::rename(folder / ".draft", file, failed);
        return "replace " + file.string();
      case 3: fs::remove(file, failed); return "remove " + file.string();
      case 4: {
        const fs::path made = folder / some_folder_name();
        fs::create_directory(made, failed);
        write(made / some_file_name(), some_text());
        return "make " + made.string();
      }
      case 5: {
        const fs::path to = some_folder() / some_folder_name();
        fs::rename(folder, to, failed);
        return "move " + folder.string() + " to " + to.string();
      }
      case 6: fs::remove_all(folder, failed); return "rm -r " + folder.string();
      case 7: {
        const fs::path to = below(2) == 0 ? some_folder() : some_folder() / some_file_name();
        const fs::path name = folder / (below(2) == 0 ? some_folder_name() : some_file_name());
        fs::remove(name, failed);
        fs::create_symlink(below(2) == 0 ? to : fs::relative(to, folder, failed), name, failed);
        return "link " + name.string() + " to " + to.string();
      }
      case 8: {
        const fs::path from = some_folder() / some_file_name();
        fs::create_hard_link(from, file, failed);
        return "hard link " + file.string() + " to " + from.string();
      }
      case 9: {
        const fs::path with = some_folder();
        (void)::renameat2(AT_FDCWD, folder.c_str(), AT_FDCWD, with.c_str(), RENAME_EXCHANGE);
        return "exchange " + folder.string() + " and " + with.string();
      }
      case 10: {
        fs::create_directories(root(), failed);
        write(root() / some_file_name(), some_text());
        return "the folder is there";
      }
      case 11:
        if (::mount("none", folder.c_str(), "tmpfs", 0, "size=1m") != 0) return "no mount";
        mounted_.push_back(folder);
        write(folder / some_file_name(), some_text());
        return "mount over " + folder.string();
      case 12: {
        const fs::path from = some_folder();
        if (::mount(from.c_str(), folder.c_str(), nullptr, MS_BIND, nullptr) != 0) return "no bind mount";
        mounted_.push_back(folder);
        return "bind " + from.string() + " to " + folder.string();
      }
      default: return unmount();
    }
  }

 private:
  std::string unmount() {
    if (mounted_.empty()) return "nothing is mounted";
    const fs::path where = mounted_.back();
    mounted_.pop_back();
    (void)::umount2(where.c_str(), MNT_DETACH);
    return "unmount " + where.string();
  }
  int below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random_); }
  std::string some_file_name() { return fmt::format("{}.yaml", "abc"[below(3)]); }
  std::string some_folder_name() { return std::string(1, "xyz"[below(3)]); }
  std::string some_text() { return service(std::string(1, "stuv"[below(4)]), 10 + below(90)); }
  /// Any that is there now, by its path without links; the one of all changes is not.
  fs::path some_folder() {
    std::vector<fs::path> all;
    std::error_code failed;
    for (auto at = fs::recursive_directory_iterator(base_.path(), failed); at != fs::recursive_directory_iterator();
         at.increment(failed)) {
      if (at.depth() > 6) at.disable_recursion_pending();
      if (!at->is_symlink(failed) && at->is_directory(failed)) all.push_back(at->path());
    }
    if (all.empty()) {
      fs::create_directories(root(), failed);
      return root();
    }
    std::sort(all.begin(), all.end());  // a file system's own order would make other cases of the same seed
    return all[static_cast<std::size_t>(below(static_cast<int>(all.size())))];
  }

  Folder base_;
  std::mt19937 random_;
  bool mounts_;
  std::vector<fs::path> mounted_;
};

/// After one look the source has what a fresh load of the same folders has, and the next look finds nothing.
void follow_random_changes(unsigned first_seed, bool mounts) {
  constexpr unsigned kTrees = 25;
  constexpr int kRounds = 25;
  unsigned different = 0;  // rounds that changed objects
  for (unsigned seed = first_seed; seed < first_seed + kTrees; ++seed) {
    Tree tree(seed, mounts);
    const std::vector folders{tree.root(), tree.root() / "x"};
    Follower follower(folders);
    std::mt19937 random(seed);
    std::string changes;
    auto before = follower.objects;
    for (int round = 0; round < kRounds; ++round) {
      const bool hear = random() % 2 == 0;  // else there is no word of inotify
      for (auto count = 1 + random() % 4; count-- > 0;) {
        changes += "\n" + tree.change();
        if (hear && random() % 2 == 0) follower.follow();
      }
      if (hear) follower.follow();
      follower.look();
      const Follower fresh(folders);
      INFO("seed " << seed << " round " << round << changes);
      REQUIRE(follower.objects == fresh.objects);
      different += std::exchange(before, fresh.objects) != fresh.objects ? 1 : 0;
      const SourceUpdate nothing = follower.just_look();
      CHECK(nothing.empty());
      CHECK_FALSE(follower.source().unsettled());
    }
  }
  CHECK(different > kTrees * kRounds / 6);
}

}  // namespace

TEST_CASE("after any changes one look gives what a fresh load gives") {
  follow_random_changes(1, false);
}

TEST_CASE("after any changes and mounts one look gives what a fresh load gives") {
  if (!enter_mount_namespace()) return;
  follow_random_changes(1000, true);
}

TEST_CASE("inotify alone tells of an ancestor that is replaced") {
  const Folder base;
  const fs::path root = base / "up/mid/root";
  fs::create_directories(root);
  write(root / "a.yaml", service("a", 1));
  Follower follower({root});
  fs::rename(base / "up", base / "old");
  follower.follow();
  CHECK(follower.objects.empty());
  fs::create_directories(root);
  write(root / "a.yaml", service("a", 2));
  follower.follow();
  CHECK(follower.port_of("a") == 2);
  fs::remove_all(base / "up");
  fs::create_directories(root);
  write(root / "a.yaml", service("a", 3));
  follower.follow();
  CHECK(follower.port_of("a") == 3);
  fs::create_directories(base / "other/root");
  write(base / "other/root/a.yaml", service("a", 4));
  REQUIRE(::renameat2(AT_FDCWD, (base / "other").c_str(), AT_FDCWD, (base / "up/mid").c_str(), RENAME_EXCHANGE) == 0);
  follower.follow();
  CHECK(follower.port_of("a") == 4);
}

TEST_CASE("a folder that is missing at the start is told once and served when it comes") {
  const Folder base;
  Follower follower({base / "up/root", base / "there"});
  CHECK_FALSE(follower.source().complete());
  CHECK(follower.problems.size() == 2);
  CHECK(follower.just_look().empty());
  fs::create_directories(base / "up/root");
  write(base / "up/root/a.yaml", service("a"));
  follower.follow();
  CHECK(follower.port_of("a") == 80);
  CHECK_FALSE(follower.source().complete());
  fs::create_directories(base / "there");
  follower.follow();
  CHECK(follower.source().complete());
  // One that goes again gives nothing; it was read once.
  fs::remove_all(base / "up");
  follower.look();
  CHECK(follower.source().complete());
}

TEST_CASE("a file that changes by another name is found by a look") {
  const Folder folder;
  const Folder outside;
  write(outside / "other.name", service("a", 80));
  fs::create_hard_link(outside / "other.name", folder / "a.yaml");
  Follower follower({folder.path()});
  write(outside / "other.name", service("a", 81));
  follower.follow();
  CHECK(follower.port_of("a") == 80);  // inotify tells the folder of the name that was used
  follower.look();
  CHECK(follower.port_of("a") == 81);
}

TEST_CASE("a look reads a file only when it is the same twice") {
  const Folder folder;
  const Folder outside;
  write(outside / "other.name", service("a") + service("b"));
  fs::create_hard_link(outside / "other.name", folder / "a.yaml");
  Follower follower({folder.path()});
  write(outside / "other.name", service("a"));
  CHECK(follower.just_look().empty());
  REQUIRE(follower.source().unsettled());
  write(outside / "other.name", service("a") + service("b") + service("c"));
  CHECK(follower.source().settle().empty());
  REQUIRE(follower.source().unsettled());
  CHECK(follower.source().settle().events.size() == 1);
  CHECK_FALSE(follower.source().unsettled());
}

TEST_CASE("contents that change without another time or size are found when everything is read") {
  const Folder folder;
  MappedFile file(service("a", 80));
  file.appear_as(folder / "a.yaml");
  Follower follower({folder.path()});
  REQUIRE(follower.port_of("a") == 80);
  // Until no file counts as written lately.
  for (int i = 0; i < 4; ++i) follower.look();

  const long before = file.written_at();
  file.put(service("a", 81));
  if (before != file.written_at()) {
    std::puts("SKIPPED: this kernel tells the time of a write by mmap to tmpfs");
    return;
  }
  for (int i = 0; i < 4; ++i) follower.look();
  CHECK(follower.port_of("a") == 80);
  follower.look(ManifestSource::Depth::kContents);
  CHECK(follower.port_of("a") == 81);
  CHECK(follower.read_again == 1U);
}

TEST_CASE("what was just read is read once more for the sake of coarse clocks") {
  const Folder folder;
  MappedFile file(service("a", 80));
  file.appear_as(folder / "a.yaml");
  Follower follower({folder.path()});
  file.put(service("a", 81));
  follower.look();
  follower.look();
  CHECK(follower.port_of("a") == 81);
}

TEST_CASE("everything that is read again tells again what is wrong with it and keeps what it gave") {
  const Folder folder;
  write(folder / "a.yaml", service("a") + service("b"));
  write(folder / "bad.yaml", service("bad", 70000));
  Follower follower({folder.path()});
  write(folder / "a.yaml", service("a", 81) + "---\nkind: [\n");
  follower.follow();
  CHECK(follower.port_of("b") == 80);
  follower.look(ManifestSource::Depth::kContents);
  CHECK(follower.events == 0);
  CHECK(follower.port_of("b") == 80);
  CHECK(follower.problems.size() == 3);
  CHECK(follower.read_again == 2U);
}

TEST_CASE("a file that is touched and not changed is not told again") {
  const Folder folder;
  write(folder / "bad.yaml", service("bad", 70000));
  Follower follower({folder.path()});
  CHECK(follower.problems.size() == 1);
  fs::last_write_time(folder / "bad.yaml", fs::file_time_type::clock::now());
  follower.follow();
  CHECK(follower.problems.empty());
}

TEST_CASE("a folder that may not be read keeps what it gave and is told once") {
  if (::geteuid() == 0 && ::seteuid(65534) != 0) return;
  {
    const Folder folder;
    fs::create_directory(folder / "sub");
    write(folder / "a.yaml", service("a"));
    write(folder / "sub/b.yaml", service("b"));
    Follower follower({folder.path()});
    fs::permissions(folder / "sub", fs::perms::none);
    fs::permissions(folder / "a.yaml", fs::perms::none);
    follower.follow();
    CHECK(follower.port_of("a") == 80);
    CHECK(follower.port_of("b") == 80);
    CHECK(follower.problems.size() == 2);
    CHECK(follower.just_look().empty());
    fs::permissions(folder / "sub", fs::perms::owner_all);
    fs::permissions(folder / "a.yaml", fs::perms::owner_all);
    fs::remove(folder / "sub/b.yaml");
    follower.follow();
    CHECK(follower.port_of("a") == 80);
    CHECK(follower.port_of("b") == 0);

    // At the start nothing is known about it, and that is not the same as nothing.
    fs::permissions(folder.path(), fs::perms::none);
    Follower late({folder.path()});
    CHECK_FALSE(late.source().complete());
    CHECK(late.problems.size() == 1);
    CHECK(late.just_look().empty());
    fs::permissions(folder.path(), fs::perms::owner_all);
    late.look();
    CHECK(late.source().complete());
    CHECK(late.port_of("a") == 80);
  }
  if (::getuid() == 0) REQUIRE(::seteuid(0) == 0);
}

TEST_CASE("a folder that a link in it leads back to gives its files once") {
  const Folder folder;
  fs::create_directory(folder / "sub");
  write(folder / "sub/b.yaml", service("b"));
  Follower follower({folder.path()});
  fs::create_directory_symlink(folder.path(), folder / "sub/up");
  write(folder / "a.yaml", service("a"));
  write(folder / "sub/c.yaml", service("c"));
  follower.follow();
  CHECK(follower.objects.size() == 3);
  CHECK(follower.remarks.empty());
}

}  // namespace kubenatd::agent::sources::test
