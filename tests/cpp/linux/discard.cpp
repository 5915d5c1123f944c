// Pages go back from locked memory too, and the mapping keeps what it had.
#include <doctest/doctest.h>
#include <sys/mman.h>

#include <array>
#include <cstring>
#include <fstream>
#include <string>

#include "platform/memory.hpp"

// Their runtimes answer mlock(2) themselves, and lock nothing.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace numapool::platform {
namespace {

constexpr std::size_t kLength = 64 << 10;

// "VmFlags: rd wr mr ..." of the mapping that begins at `address`, from /proc/self/smaps.
std::string flags_of(const void* address) {
  std::array<char, 32> wanted{};
  std::snprintf(wanted.data(), wanted.size(), "%lx-", reinterpret_cast<unsigned long>(address));
  std::ifstream file("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(wanted.data())) inside = true;
    if (inside && line.starts_with("VmFlags:")) return line;
  }
  return {};
}

}  // namespace

TEST_CASE("locked pages go back, and the mapping stays locked and out of dumps") {
  const Pages base{PageKind::kBase, base_page_bytes()};
  const Result<void*> mapped = map(kLength, base);
  REQUIRE(mapped);
  auto* const bytes = static_cast<char*>(mapped.value());
  REQUIRE(keep_out_of_dumps(bytes, kLength));
  if (!lock(bytes, kLength, true)) {
    REQUIRE(unmap(bytes, kLength));
    MESSAGE("no memory may be locked here");
    return;
  }
  std::memset(bytes, 7, kLength);
  REQUIRE(discard(bytes, kLength));
  CHECK(residency(bytes, kLength, base, Precision::kExact).not_resident_bytes == kLength);
  const std::string flags = flags_of(bytes);
  CHECK(flags.find(" lo") != std::string::npos);
  CHECK(flags.find(" dd") != std::string::npos);
  REQUIRE(populate(bytes, kLength, base));
  CHECK(bytes[0] == 0);
  CHECK(bytes[kLength - 1] == 0);
  REQUIRE(unmap(bytes, kLength));
}

}  // namespace numapool::platform
#endif
