// Fuzzes what a service manager sets in the environment: $MEMORY_PRESSURE_WRITE is base64.
#include "fuzz.hpp"
#include "platform/linux/pressure/systemd_pressure.hpp"

using namespace numapool;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  const auto bytes = platform::decode_base64(text);
  fuzz::require(!bytes || bytes->size() <= text.size() / 4 * 3 + 3, "four characters are three");
  // A path is opened only where it is absolute: nothing is, with this one before it.
  platform::SystemdPressure watch;
  const std::string relative = "not absolute" + std::string(text.substr(0, text.find('\0')));
  fuzz::require(!watch.open(relative.c_str(), nullptr).empty(), "a relative path is refused");
  fuzz::require(watch.descriptor() < 0, "and nothing is open");
  return 0;
}
