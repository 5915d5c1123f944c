// Fuzzes numbers after keys: meminfo of the machine and of nodes, memory.stat, vmstat.
#include "fuzz.hpp"
#include "platform/linux/files/file_values.hpp"
#include "platform/linux/files/kept_file.hpp"

using namespace numapool;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  for (const std::string_view key :
       {"MemTotal:", "MemAvailable:", "Active(file):", "inactive_file ", "pgmigrate_success "}) {
    const auto bytes = platform::meminfo_bytes(text, key);
    fuzz::require(!bytes || *bytes % 1024 == 0, "kibibytes");
    fuzz::require(!bytes || text.find(key) != std::string_view::npos, "the key is there");
    const auto number = platform::number_after(text, key);
    fuzz::require(!number || text.find(key) != std::string_view::npos, "the key is there");
  }
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool digit = first != std::string_view::npos && text[first] >= '0' && text[first] <= '9';
  fuzz::require(digit || !platform::leading_number(text), "it starts with a digit");
  return 0;
}
