// Which network interface leads to an address, from /proc/net/route and /proc/net/ipv6_route.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace numapool::platform {

// The interface of the longest matching route, or of the one with the lowest metric if several are
// equally long. `address` is an IPv4 or IPv6 address as text; "fe80::1%eth0" names its interface
// itself. Empty if there is no route, or the text is not an address. Only the main routing table is
// read.
[[nodiscard]] std::optional<std::string> interface_to(std::string_view address,
                                                      std::string_view routes4,
                                                      std::string_view routes6);

}  // namespace numapool::platform
