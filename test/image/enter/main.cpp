#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

/// enter_image ROOT FOLDER PROGRAM [ARGUMENT...]
///
/// Runs a program as the DaemonSet's container does: ROOT, read-only, is all that it sees; FOLDER is in it as
/// /var/lib/kube-proxy; /proc/sys is read-only and the writable /proc/sys/net is below /host; user root with
/// CAP_NET_ADMIN alone and no way to more. The network namespace is the caller's. Exit status 125 with the step that
/// failed when it does not come to that.
namespace {

void check(bool done, const std::string& step) {
  if (done) return;
  std::fprintf(stderr, "enter_image: %s: %s\n", step.c_str(), std::strerror(errno));
  std::exit(125);
}

void bind(const std::string& from, const std::string& to, bool read_only) {
  check(::mount(from.c_str(), to.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0, "mount " + from + " on " + to);
  if (!read_only) return;
  check(::mount(nullptr, to.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID, nullptr) == 0,
        "make read-only " + to);
}

/// The bounding set is what root's programs get.
void keep_only(int capability) {
  check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
  check(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0, "clear ambient capabilities");
  for (int other = 0; ::prctl(PR_CAPBSET_READ, other, 0, 0, 0) >= 0; ++other) {
    if (other != capability) check(::prctl(PR_CAPBSET_DROP, other, 0, 0, 0) == 0, "drop " + std::to_string(other));
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  data[0].effective = data[0].permitted = 1U << static_cast<unsigned>(capability);
  check(::syscall(SYS_capset, &header, data) == 0, "set capabilities");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: enter_image ROOT FOLDER PROGRAM [ARGUMENT...]\n");
    return 125;
  }
  const std::string root = argv[1];
  check(::unshare(CLONE_NEWNS) == 0, "new mount namespace");
  check(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private mounts");
  bind(root, root, true);
  bind(argv[2], root + "/var/lib/kube-proxy", true);
  bind("/proc/sys/net", root + "/host/proc/sys/net", false);
  bind("/sys", root + "/sys", true);
  check(::mount("proc", (root + "/proc").c_str(), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0,
        "mount /proc");
  bind(root + "/proc/sys", root + "/proc/sys", true);
  check(::chroot(root.c_str()) == 0 && ::chdir("/") == 0, "chroot " + root);
  keep_only(CAP_NET_ADMIN);
  char* const environment[] = {nullptr};
  ::execve(argv[3], argv + 3, environment);
  check(false, std::string("run ") + argv[3]);
}
