// Fuzzes /proc/net/route and /proc/net/ipv6_route with an address.
#include "platform/linux/devices/network_route.hpp"

#include "fuzz.hpp"

using namespace numapool;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::text_of(data, size);
  const std::string_view address = fuzz::take(text);
  const std::string_view routes4 = fuzz::take(text);
  const auto found = platform::interface_to(address, routes4, text);
  fuzz::require(!found || !found->empty(), "an interface has a name");
  fuzz::require(!found || found->find('/') == std::string::npos, "a name is no path");
  static_cast<void>(platform::interface_to("10.1.2.3", routes4, text));
  static_cast<void>(platform::interface_to("2001:db8::1", routes4, text));
  return 0;
}
