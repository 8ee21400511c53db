#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "agent/objects/place_pool.h"
#include "agent/sources/object_change.h"

namespace kubenatd::agent::sources {

/// The objects of all files. When several places give the same object, the file that is later by path counts, and
/// within a file the later document.
///
/// Threading: none of its own. Failure: none. Cost: that of the objects of the file that is replaced.
class ObjectStore {
 public:
  /// The object as shared memory; that of `file` which is already there when it is equal.
  [[nodiscard]] objects::ObjectPtr intern(const std::string& file, objects::Object&& object);
  /// `file` holds these objects now, in this order; with `keep_missing` also those that it held before and that are not
  /// among them. Appends a line for each object that two places give.
  void replace(const std::string& file, std::vector<objects::ObjectPtr> objects, bool keep_missing,
               std::vector<std::string>& remarks);
  void remove(const std::string& file);
  /// The objects that are different from what they were at the last call.
  [[nodiscard]] std::vector<ObjectChange> take_changes();

 private:
  struct Candidate {
    const std::string* file;  ///< a key of files_
    std::size_t place;
    objects::ObjectPtr object;
  };
  using Candidates = std::vector<Candidate>;  ///< sorted; the last one counts

  void withdraw(const std::string& file, const std::vector<objects::ObjectPtr>& objects);
  void touch(const ObjectId& id, const Candidates& candidates);
  void describe_duplicates(const ObjectId& id, const std::string& file, std::vector<std::string>& remarks) const;

  objects::PlacePool places_;
  std::map<std::string, std::vector<objects::ObjectPtr>> files_;
  std::map<ObjectId, Candidates> objects_;
  std::map<ObjectId, objects::ObjectPtr> before_;  ///< what counted at the last take_changes(), of those touched since
};

}  // namespace kubenatd::agent::sources
