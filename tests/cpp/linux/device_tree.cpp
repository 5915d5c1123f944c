// Names of PCI functions, and where relative links lead.
#include "platform/linux/devices/device_tree.hpp"

#include <doctest/doctest.h>

#include <string>

namespace numapool::platform {

TEST_CASE("PCI addresses, short and in full") {
  CHECK(pci_address("3b:00.0") == "0000:3b:00.0");
  CHECK(pci_address("3B:0.7") == "0000:3b:00.7");
  CHECK(pci_address("0000:af:1f.1") == "0000:af:1f.1");
  CHECK(pci_address("1:af:1f.1") == "0001:af:1f.1");
  CHECK(pci_address("10000:E1:00.0") == "10000:e1:00.0");
  CHECK(pci_address("00000000:42:00.0") == "0000:42:00.0");  // as nvidia-smi writes it
  CHECK(pci_address("00010000:E1:00.0") == "10000:e1:00.0");
  CHECK(pci_address("00001:af:1f.1") == "0001:af:1f.1");
  for (const char* const text :
       {"", "eth0", "3b:00", "3b:00.8", "3b:00.00", "3b:00.0 ", "3bb:00.0", "x:00.0", "::.", ":",
        "3b:00.", "00:3b:00:00.0", "123456789:00:00.0", "0000:3b:00.a", "-3b:00.0"}) {
    CAPTURE(text);
    CHECK_FALSE(pci_address(text));
  }
}

TEST_CASE("the last PCI function above a device") {
  CHECK(pci_function_of("sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/nvme/nvme0/nvme0n1") ==
        "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0");
  CHECK(pci_function_of("sys/devices/pci0000:80/0000:80:05.5/pci10000:e0/10000:e1:00.0") ==
        "sys/devices/pci0000:80/0000:80:05.5/pci10000:e0/10000:e1:00.0");
  CHECK(pci_function_of("sys/devices/pci0000:00/pci_bus/0000:00") == "");
  CHECK(pci_function_of("sys/devices/virtual/block/dm-0") == "");
  CHECK(pci_function_of("") == "");
}

TEST_CASE("links by their text, within the root") {
  CHECK(joined("sys/class/net", "../../devices/x/eth0") == "sys/devices/x/eth0");
  CHECK(joined("a/b", ".") == "a/b");
  CHECK(joined("a/b", "./c//d/") == "a/b/c/d");
  CHECK(joined("a", "..") == "");
  CHECK(joined("a", "../..") == std::nullopt);
  CHECK(joined("a/b", "../../../a/b") == std::nullopt);
  CHECK(joined("a", "/etc") == std::nullopt);
  CHECK(joined("a", "") == std::nullopt);
  CHECK(parent_of("a") == "");
  CHECK(name_of("a/b/c") == "c");
  CHECK(name_of("c") == "c");
}

}  // namespace numapool::platform
