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

}  // namespace kubenatd::agent::cli
