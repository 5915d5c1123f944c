// Fuzzes the kernel's lists of ids: "0-3,8".
#include "platform/linux/files/id_list.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "fuzz.hpp"

using namespace numapool;

namespace {

std::string written(const std::vector<int>& ids) {
  std::string text;
  for (const int id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  for (const int largest : {platform::kLargestId, platform::kLargestNodeId, 0}) {
    const auto ids = platform::parse_id_list(text, largest);
    if (!ids) continue;
    fuzz::require(std::is_sorted(ids->begin(), ids->end(), std::less_equal<>()) || ids->size() < 2,
                  "the ids ascend");
    fuzz::require(std::adjacent_find(ids->begin(), ids->end()) == ids->end(), "each once");
    fuzz::require(ids->empty() || (ids->front() >= 0 && ids->back() <= largest), "in their bounds");
    if (ids->size() < 64)
      fuzz::require(platform::parse_id_list(written(*ids), largest) == ids, "read as written");
  }
  return 0;
}
