#include "agent/cli/output.h"

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

#include "agent/base/log.h"

namespace kubenatd::agent::cli {

bool finish_output() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return true;
  const int code = errno;
  const std::string cause = code != 0 ? std::generic_category().message(code) : "a part of it was lost before";
  base::log_error(rules::Error{"standard output", "write", cause, code});
  return false;
}

int write_file(const std::filesystem::path& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return errno;
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  int code = written ? 0 : errno;
  if (std::fclose(file) != 0 && code == 0) code = errno;
  return code != 0 || written ? code : EIO;
}

}  // namespace kubenatd::agent::cli
