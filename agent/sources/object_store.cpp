#include "agent/sources/object_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "agent/base/printable.h"

namespace kubenatd::agent::sources {

objects::ObjectPtr ObjectStore::intern(const std::string& file, objects::Object&& object) {
  if (const auto found = objects_.find(id_of(object)); found != objects_.end())
    for (const Candidate& candidate : found->second)
      if (*candidate.file == file && *candidate.object == object) return candidate.object;
  places_.share(object);
  return std::make_shared<const objects::Object>(std::move(object));
}

void ObjectStore::touch(const ObjectId& id, const Candidates& candidates) {
  before_.try_emplace(id, candidates.empty() ? nullptr : candidates.back().object);
}

void ObjectStore::withdraw(const std::string& file, const std::vector<objects::ObjectPtr>& objects) {
  for (const objects::ObjectPtr& object : objects) {
    const auto found = objects_.find(id_of(*object));
    if (found == objects_.end()) continue;  // it was there twice
    touch(found->first, found->second);
    std::erase_if(found->second, [&](const Candidate& candidate) { return *candidate.file == file; });
    if (found->second.empty()) objects_.erase(found);
  }
}

void ObjectStore::replace(const std::string& file, std::vector<objects::ObjectPtr> objects, bool keep_missing,
                          std::vector<std::string>& remarks) {
  const auto entry = files_.try_emplace(file).first;
  if (keep_missing) {
    std::set<ObjectId> there;
    for (const objects::ObjectPtr& object : objects) there.insert(id_of(*object));
    for (const objects::ObjectPtr& before : entry->second)
      if (!there.contains(id_of(*before))) objects.push_back(before);
  }
  withdraw(file, entry->second);
  objects.shrink_to_fit();
  entry->second = std::move(objects);
  std::set<ObjectId> several;
  for (std::size_t place = 0; place < entry->second.size(); ++place) {
    const objects::ObjectPtr& object = entry->second[place];
    const auto found = objects_.try_emplace(id_of(*object)).first;
    Candidates& candidates = found->second;
    touch(found->first, candidates);
    const auto behind = std::upper_bound(candidates.begin(), candidates.end(), std::tie(entry->first, place),
                                         [](const auto& place_of_new, const Candidate& other) {
                                           return place_of_new < std::tie(*other.file, other.place);
                                         });
    candidates.insert(behind, {&entry->first, place, object});
    if (candidates.size() > 1) several.insert(found->first);
  }
  for (const ObjectId& id : several) describe_duplicates(id, entry->first, remarks);
}

void ObjectStore::remove(const std::string& file) {
  const auto found = files_.find(file);
  if (found == files_.end()) return;
  withdraw(file, found->second);
  files_.erase(found);
}

void ObjectStore::describe_duplicates(const ObjectId& id, const std::string& file,
                                      std::vector<std::string>& remarks) const {
  const Candidates& candidates = objects_.at(id);
  const std::string& winner = *candidates.back().file;
  const std::string& other = winner != file ? winner : *candidates[candidates.size() - 2].file;
  constexpr std::size_t kLongestPath = 4096;
  const std::string object = fmt::format("{} {}", name_of(id.kind), id.key.to_string());
  if (other == file)
    remarks.push_back(
        fmt::format("{}: {}: is there twice, the later one counts", base::one_line(file, kLongestPath), object));
  else
    remarks.push_back(fmt::format("{}: {}: is in {} too, the one in {} counts", base::one_line(file, kLongestPath),
                                  object, base::one_line(other, kLongestPath), base::one_line(winner, kLongestPath)));
}

std::vector<ObjectChange> ObjectStore::take_changes() {
  std::vector<ObjectChange> changes;
  for (auto& [id, before] : before_) {
    const auto found = objects_.find(id);
    const objects::ObjectPtr now = found == objects_.end() ? nullptr : found->second.back().object;
    if (now == before || (now && before && *now == *before)) continue;
    changes.push_back({id, now});
  }
  before_.clear();
  return changes;
}

}  // namespace kubenatd::agent::sources
