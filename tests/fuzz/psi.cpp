// Fuzzes memory.pressure and memory.events.
#include "platform/linux/pressure/psi.hpp"

#include "fuzz.hpp"
#include "platform/linux/pressure/cgroup_pressure.hpp"

using namespace numapool;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  const auto totals = platform::parse_psi(text);
  if (totals) {
    fuzz::require(text.find("total=") != std::string_view::npos, "there is a total");
    const std::string again =
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=" + std::to_string(totals->some_us) +
        "\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=" + std::to_string(totals->full_us) + "\n";
    fuzz::require(platform::parse_psi(again) == totals, "read as written");
  }
  static_cast<void>(platform::parse_cgroup_events(text));
  return 0;
}
