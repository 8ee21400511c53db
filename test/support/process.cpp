#include "test/support/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

namespace kubenatd::test {
namespace {

using Clock = std::chrono::steady_clock;

Descriptor memory_file(const char* name) {
  const int fd = static_cast<int>(::memfd_create(name, MFD_CLOEXEC));
  if (fd < 0) throw std::runtime_error("memfd_create failed");
  return Descriptor(fd);
}

std::string content(int fd) {
  struct stat about {};
  if (fd < 0 || ::fstat(fd, &about) != 0) return {};
  std::string text(static_cast<std::size_t>(about.st_size), '\0');
  const auto size = ::pread(fd, text.data(), text.size(), 0);
  text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return text;
}

/// iptables, ip and nft lie in sbin, which is not on everyone's PATH.
void complete_path() {
  static std::once_flag once;
  std::call_once(once, [] {
    const char* path = std::getenv("PATH");
    ::setenv("PATH", (std::string(path ? path : "/usr/bin:/bin") + ":/usr/sbin:/sbin").c_str(), 1);
  });
}

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

std::string ProcessResult::describe() const {
  return "status " + std::to_string(status) + "\nout: " + out + "\nerr: " + err;
}

Child::Child(const std::vector<std::string>& arguments, const ProcessOptions& options)
    : input_(memory_file("input")), out_(memory_file("out")), err_(memory_file("err")) {
  complete_path();
  for (std::size_t at = 0; at < options.input.size();) {
    const auto size = ::write(input_.get(), options.input.data() + at, options.input.size() - at);
    if (size <= 0) throw std::runtime_error("cannot store the input of " + arguments.front());
    at += static_cast<std::size_t>(size);
  }
  ::lseek(input_.get(), 0, SEEK_SET);
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ == 0) {
    // Only async-signal-safe calls from here: other threads of the test may hold locks.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(126);
    if (options.namespace_fd >= 0 && ::setns(options.namespace_fd, CLONE_NEWNET) != 0) ::_exit(126);
    ::dup2(input_.get(), STDIN_FILENO);
    ::dup2(out_.get(), STDOUT_FILENO);
    ::dup2(err_.get(), STDERR_FILENO);
    if (options.uid && (::setgroups(0, nullptr) != 0 || ::setresgid(*options.uid, *options.uid, *options.uid) != 0 ||
                        ::setresuid(*options.uid, *options.uid, *options.uid) != 0)) {
      ::_exit(126);
    }
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  process_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      process_(std::move(other.process_)),
      input_(std::move(other.input_)),
      out_(std::move(other.out_)),
      err_(std::move(other.err_)),
      status_(other.status_) {}

Child::~Child() {
  if (pid_ < 0 || status_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Child::running() {
  return !wait(std::chrono::milliseconds(0));
}

void Child::signal(int number) const {
  if (!status_) ::kill(pid_, number);
}

int patience() {
  const char* text = std::getenv("KUBENATD_TEST_PATIENCE");
  const int number = text == nullptr ? 1 : std::atoi(text);
  return number > 0 ? number : 1;
}

std::optional<ProcessResult> Child::wait(std::chrono::milliseconds timeout) {
  const auto limit = Clock::now() + timeout * patience();
  while (!status_) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - Clock::now()).count();
    pollfd ended{process_.get(), POLLIN, 0};
    const int ready = ::poll(&ended, 1, left > 0 ? static_cast<int>(left) : 0);
    if (ready == 0) return std::nullopt;
    if (ready < 0) {
      if (errno == EINTR) continue;
      throw std::runtime_error("poll on a child failed");
    }
    int status = 0;
    if (::waitpid(pid_, &status, 0) != pid_) throw std::runtime_error("waitpid failed");
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
  }
  return ProcessResult{*status_, out(), err()};
}

std::string Child::out() const {
  return content(out_.get());
}

std::string Child::err() const {
  return content(err_.get());
}

std::chrono::milliseconds Child::cpu_time() const {
  const std::string text = read_file("/proc/" + std::to_string(pid_) + "/stat");
  // Fields are counted from behind the program name, which may hold blanks: state is field 3, utime 14, stime 15.
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  long user = 0, system = 0;
  fields >> user >> system;
  return std::chrono::milliseconds((user + system) * 1000 / ::sysconf(_SC_CLK_TCK));
}

ProcessResult run(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  Child child(arguments, options);
  auto result = child.wait(options.timeout);
  if (!result) {
    throw std::runtime_error(arguments.front() + " did not end in time\nout: " + child.out() + "\nerr: " + child.err());
  }
  return *result;
}

ProcessResult run_in(const Namespace& where, const std::vector<std::string>& arguments, std::string input) {
  ProcessOptions options;
  options.namespace_fd = where.fd();
  options.input = std::move(input);
  return run(arguments, options);
}

std::string must_run_in(const Namespace& where, const std::vector<std::string>& arguments, std::string input) {
  auto result = run_in(where, arguments, std::move(input));
  if (!result.ok()) {
    std::string line;
    for (const auto& argument : arguments) line += argument + " ";
    throw std::runtime_error(line + "failed: " + result.describe());
  }
  return std::move(result.out);
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit * patience();
  while (!condition()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

TempFolder::TempFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "kubenatd-test-XXXXXX").string();
  if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp " + name + " failed");
  ::chmod(name.c_str(), 0755);
  path_ = name;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path TempFolder::write(const std::string& name, std::string_view text) const {
  const auto final_path = path_ / name;
  std::filesystem::create_directories(final_path.parent_path());
  const auto draft = final_path.parent_path() / fmt::format(".{}.draft", final_path.filename().string());
  std::ofstream file(draft, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw std::runtime_error("cannot write " + draft.string());
  std::filesystem::rename(draft, final_path);
  return final_path;
}

void TempFolder::remove(const std::string& name) const {
  std::filesystem::remove(path_ / name);
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string changed_lines(std::string_view was, std::string_view is) {
  if (was == is) return {};
  std::map<std::string, int> balance;
  for (auto& line : lines_of(was)) --balance[line];
  for (auto& line : lines_of(is)) ++balance[line];
  std::string changed;
  for (const auto& [line, count] : balance) {
    for (int i = 0; i < std::abs(count); ++i) changed += (count < 0 ? "- " : "+ ") + line + "\n";
  }
  return changed.empty() ? "only the order of lines differs" : changed;
}

}  // namespace kubenatd::test
