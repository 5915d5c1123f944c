// Fuzzes the kernel's masks of ids: "00000000,0000010f".
#include <algorithm>

#include "fuzz.hpp"
#include "platform/linux/files/id_list.hpp"
#include "platform/linux/kernel/node_mask.hpp"

using namespace numapool;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto ids = platform::parse_id_mask(fuzz::text_of(data, size));
  if (!ids) return 0;
  fuzz::require(std::adjacent_find(ids->begin(), ids->end(), std::greater_equal<>()) == ids->end(),
                "the ids ascend, each once");
  fuzz::require(ids->empty() || (ids->front() >= 0 && ids->back() <= platform::kLargestId),
                "in their bounds");
  const platform::NodeMask mask(*ids);
  for (const int node : mask.nodes())
    fuzz::require(std::binary_search(ids->begin(), ids->end(), node), "a mask holds what was set");
  return 0;
}
