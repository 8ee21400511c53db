#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/objects/objects.h"
#include "agent/objects/passed_over.h"
#include "agent/sources/object_change.h"
#include "rules/error.h"

struct stat;

namespace kubenatd::agent::sources {

/// A larger file is refused. A file is read as a whole; a larger one and its objects would not fit the memory of a node
/// agent.
inline constexpr std::size_t kLargestFile = 64U << 20;

/// A stamp that changes when the path leads to another content, found without reading the file.
struct FileSignature {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = -1;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;
  bool operator==(const FileSignature&) const = default;

  [[nodiscard]] static FileSignature of(const struct stat& info);
};

/// SHA-256: tells whether a text is another one than before, without keeping it.
using TextDigest = std::array<unsigned char, 32>;
[[nodiscard]] TextDigest digest_of(std::string_view text);

/// *.yaml, *.yml, *.json; names that begin with "." (editors' and kubelet's own) are none.
[[nodiscard]] bool is_manifest_name(std::string_view name);

/// The objects of a file, and what there is to say about its documents, one line each.
struct ManifestFile {
  std::vector<objects::ObjectPtr> objects;
  std::vector<std::string> problems;  ///< documents that were refused or cannot be read
  std::vector<std::string> remarks;   ///< fields that were left out of an object
  std::vector<std::string> passed_over;
  std::vector<objects::PassedOver> left_out;  ///< the same, by object; what is of no use to anybody is not among them
  bool complete = true;                       ///< false: a document could not be read, and may have been one of ours
};

/// The text of a regular file. An error's code tells why: ENOENT is a file that is not there (any more).
[[nodiscard]] rules::Result<std::string> read_text(const std::string& path);

/// Reads and decodes the documents in the text of a manifest. `keep` makes each object shared at once: when it knows an
/// equal object already, it returns that one, and the new one does not stay in memory.
[[nodiscard]] ManifestFile parse_manifest(const std::string& path, std::string_view text,
                                          const std::function<objects::ObjectPtr(objects::Object&&)>& keep);

}  // namespace kubenatd::agent::sources
