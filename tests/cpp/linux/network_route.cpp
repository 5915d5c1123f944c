// Routes of IPv4 and IPv6: the longest prefix, then the lowest metric.
#include "platform/linux/devices/network_route.hpp"

#include <doctest/doctest.h>

#include <string>

namespace numapool::platform {
namespace {

// 0.0.0.0/0 by eth0; 10.1.0.0/16 by eth1 (metric 100) and eth2 (50); 10.1.2.0/24 by eth3, down;
// 10.1.3.4/32 refused; addresses as a little-endian machine writes them.
constexpr const char* kRoutes4 =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0   \n"
    "eth1\t0000010A\t00000000\t0001\t0\t0\t100\t0000FFFF\t0\t0\t0\n"
    "eth2\t0000010A\t00000000\t0001\t0\t0\t50\t0000FFFF\t0\t0\t0\n"
    "eth3\t0002010A\t00000000\t0000\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    "*\t0403010A\t00000000\t0201\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n";

constexpr const char* kRoutes6 =
    "20010db8000000000000000000000000 20 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth1\n"
    "20010db8000800000000000000000000 2d 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth2\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";

std::optional<std::string> to(const char* address) {
  return interface_to(address, kRoutes4, kRoutes6);
}

}  // namespace

TEST_CASE("IPv4") {
  CHECK(to("8.8.8.8") == "eth0");
  CHECK(to("10.1.9.9") == "eth2");
  CHECK(to("10.1.2.9") == "eth2");
  CHECK(to("10.1.3.4") == "eth2");
  CHECK(to("::ffff:10.1.9.9") == "eth2");
  CHECK_FALSE(interface_to("8.8.8.8", "", kRoutes6));
}

TEST_CASE("IPv6") {
  CHECK(to("2001:db8::1") == "eth1");
  CHECK(to("2001:db8:f::1") == "eth2");  // 45 bits are shared
  CHECK(to("2001:db8:10::1") == "eth1");
  CHECK(to("[2001:db8::1]") == "eth1");
  CHECK_FALSE(to("fd00::1"));  // the default is refused
  CHECK(to("fe80::1%eth7") == "eth7");
}

TEST_CASE("an address with what is no name of an interface leads nowhere") {
  for (const char* const address :
       {"fe80::1%", "f:1%", "fe80::1%..", "fe80::1%.", "fe80::1%../../block/sda", "fe80::1%a/b",
        "fe80::1%a-name-of-sixteen"}) {
    CAPTURE(address);
    CHECK_FALSE(to(address));
  }
}

TEST_CASE("a table with what is no name of an interface leads nowhere") {
  for (const char* const name : {"../eth0", "a-name-of-sixteen", ".."}) {
    CAPTURE(name);
    const std::string table =
        "Iface\n" + std::string(name) + "\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
    CHECK_FALSE(interface_to("8.8.8.8", table, ""));
  }
}

TEST_CASE("what is no address and no table leads nowhere") {
  for (const char* const address : {"", "server", "10.1", "1.2.3.4.5", ":::", "[", "[]", "]["}) {
    CAPTURE(address);
    CHECK_FALSE(to(address));
  }
  CHECK_FALSE(
      interface_to("1.2.3.4", "eth0\teth0\neth0\t00000000\t0\t0003\t0\t0\tx\t0\n\n\t\n", ""));
  CHECK_FALSE(interface_to("::1", "", "0 0 0 0 0 0 0 0 0 0\n00000000000000000000000000000000 ff"));
}

}  // namespace numapool::platform
