// Fuzzes /proc/zoneinfo: the pages that the kernel keeps for itself on each node.
#include "fuzz.hpp"
#include "platform/linux/pressure/watermarks.hpp"

using namespace numapool;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  const auto reserves = platform::parse_reserves(text);
  fuzz::require(reserves.size() <= text.size() / 4 + 1, "no node comes from nowhere");
  return 0;
}
