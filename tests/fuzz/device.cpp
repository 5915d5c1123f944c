// Fuzzes names of devices: links inside a tree, PCI addresses, folders above.
#include "fuzz.hpp"
#include "platform/linux/devices/device_tree.hpp"

using namespace numapool;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::text_of(data, size);
  if (const auto address = platform::pci_address(text))
    fuzz::require(platform::pci_address(*address) == address, "an address in full is itself");
  fuzz::require(platform::parent_of(text).size() <= text.size(), "above is shorter");
  static_cast<void>(platform::name_of(text));
  static_cast<void>(platform::is_virtual(text));
  fuzz::require(platform::pci_function_of(text).size() <= text.size(), "a part of the path");
  const std::string_view folder = fuzz::take(text);
  if (folder.find("..") != std::string_view::npos) return 0;  // folders are such as were found
  const auto path = platform::joined(folder, text);
  fuzz::require(!path || (path->find("/../") == std::string::npos && !path->starts_with("../")),
                "no link leads out of the tree");
  return 0;
}
