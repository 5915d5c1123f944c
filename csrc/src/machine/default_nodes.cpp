// The nodes for memory when a request names none: all but the memory of devices, or those that the
// operator chose.
#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "numapool/error.hpp"
#include "numapool/topology.hpp"

namespace numapool {
namespace {

constexpr int kLargestId = 1023;  // the limit that any kernel has
constexpr std::string_view kBlanks = " \t\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::optional<int> number_of(std::string_view text) {
  int number = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  const bool whole = read.ec == std::errc() && read.ptr == end;
  if (!whole || number < 0 || number > kLargestId) return std::nullopt;
  return number;
}

// "0-1,4"; empty if the text is not such a list.
std::optional<std::vector<int>> list_of(std::string_view text) {
  std::vector<int> ids;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view part = trimmed(text.substr(0, comma));
    const std::size_t dash = part.find('-');
    const auto first = number_of(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number_of(part.substr(dash + 1));
    if (!first || !last || *last < *first) return std::nullopt;
    for (int id = *first; id <= *last; ++id) ids.push_back(id);
    if (comma == std::string_view::npos) return ids;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

const char* kind_text(MemoryKind kind) noexcept {
  switch (kind) {
    case MemoryKind::kDram:
      return "dram";
    case MemoryKind::kDevice:
      return "device";
    case MemoryKind::kCxl:
      return "cxl";
    case MemoryKind::kPmem:
      return "pmem";
    case MemoryKind::kHbm:
      return "hbm";
    case MemoryKind::kUnknown:
      break;
  }
  return "unknown";
}

bool Topology::is_default(int node_id) const noexcept {
  return std::binary_search(parts_.defaults.begin(), parts_.defaults.end(), node_id);
}

// Nodes that do not exist, or that this process may not use, are skipped, so that the same words
// work on several machines.
std::string Topology::choose_defaults(const std::optional<std::string>& words) {
  const std::vector<int> usable = usable_nodes();
  const auto those = [&](const auto& wanted) {
    std::vector<int> ids;
    std::copy_if(usable.begin(), usable.end(), std::back_inserter(ids), wanted);
    return ids;
  };
  std::vector<int> chosen = those([&](int id) { return node(id).kind != MemoryKind::kDevice; });
  std::string wrong;
  if (words) {
    std::string_view text = trimmed(*words);
    const bool but = text.starts_with('!');
    if (but) text.remove_prefix(1);
    const auto listed = list_of(text);
    const auto named = [&](int id) {
      return std::find(listed->begin(), listed->end(), id) != listed->end();
    };
    if (text == "all" && !but) {
      chosen = usable;
    } else if (!listed) {
      wrong =
          "'" + *words + "' is no list of nodes (\"0-1,4\"; \"!2\" for all but node 2; \"all\")";
    } else if (std::vector<int> ids = those([&](int id) { return named(id) != but; });
               !ids.empty()) {
      chosen = std::move(ids);
    } else if (!usable.empty()) {
      wrong = "'" + *words + "' leaves no node; this process may use " + nodes_text(usable);
    }
  }
  parts_.defaults = chosen.empty() ? usable : std::move(chosen);
  return wrong;
}

void Topology::require_defaults(const std::optional<std::string>& words) {
  const std::string wrong = choose_defaults(words);
  if (!wrong.empty()) throw Error(ErrorKind::kInvalidArgument, "default_nodes: " + wrong);
}

}  // namespace numapool
