#include "rules/change.h"

#include <cstring>

namespace kubenatd::rules {
namespace {

ObjectRef ref_of(ObjectRef::Kind kind, Family family, std::string_view table, std::string_view name) {
  return {.family = family, .kind = kind, .table = std::string(table), .name = std::string(name), .handle = 0};
}

}  // namespace

std::string_view name_of(Operation operation) {
  switch (operation) {
    case Operation::kNone: return "commit";
    case Operation::kCreateTable: return "create table";
    case Operation::kDeleteTable: return "delete table";
    case Operation::kCreateChain: return "create chain";
    case Operation::kDeleteChain: return "delete chain";
    case Operation::kAddRule: return "add rule";
    case Operation::kDeleteRule: return "delete rule";
    case Operation::kCreateSet: return "create set";
    case Operation::kDeleteSet: return "delete set";
    case Operation::kAddElement: return "add elements";
    case Operation::kDeleteElement: return "delete elements";
    case Operation::kCreateFlowtable: return "create flowtable";
    case Operation::kDeleteFlowtable: return "delete flowtable";
  }
  return "";
}

bool is_delete(Operation operation) {
  switch (operation) {
    case Operation::kDeleteTable:
    case Operation::kDeleteChain:
    case Operation::kDeleteRule:
    case Operation::kDeleteSet:
    case Operation::kDeleteElement:
    case Operation::kDeleteFlowtable: return true;
    default: return false;
  }
}

ObjectRef table_ref(Family family, std::string_view table) {
  return ref_of(ObjectRef::Kind::kTable, family, table, {});
}

ObjectRef chain_ref(Family family, std::string_view table, std::string_view chain) {
  return ref_of(ObjectRef::Kind::kChain, family, table, chain);
}

ObjectRef set_ref(Family family, std::string_view table, std::string_view set) {
  return ref_of(ObjectRef::Kind::kSet, family, table, set);
}

ObjectRef flowtable_ref(Family family, std::string_view table, std::string_view flowtable) {
  return ref_of(ObjectRef::Kind::kFlowtable, family, table, flowtable);
}

std::string to_text(const ObjectRef& object) {
  std::string text = object.family == Family::kIpv4 ? "ip " : "ip6 ";
  text += object.table;
  if (!object.name.empty()) text.append(" ").append(object.name);
  return text;
}

std::string cause_of(const Refusal& refusal) {
  std::string text = std::strerror(refusal.code);
  if (!refusal.explanation.empty()) text.append(": ").append(refusal.explanation);
  std::string where;
  if (!refusal.expression.empty()) where = "expression " + refusal.expression;
  if (!refusal.jump.empty()) where.append(where.empty() ? "-j " : ", -j ").append(refusal.jump);
  if (!where.empty()) text.append(" (").append(where).append(")");
  return text;
}

Error to_error(const Refusal& refusal) {
  return {.object = refusal.object.table.empty() ? "nf_tables" : to_text(refusal.object),
          .operation = std::string(name_of(refusal.operation)),
          .cause = cause_of(refusal),
          .code = refusal.code};
}

}  // namespace kubenatd::rules
