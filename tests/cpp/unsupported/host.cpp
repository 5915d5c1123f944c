// Where the system is unknown, CPUID alone tells of a hypervisor, and of a balloon nothing does.
#include "numapool/host.hpp"

#include <doctest/doctest.h>

#include "numapool/error.hpp"

namespace numapool {
namespace {

template <class Call>
bool is_unsupported(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kUnsupported;
  }
  return false;
}

}  // namespace

TEST_CASE("the hypervisor by CPUID") {
  CHECK(detect_hypervisor("/", Cpuid{true, {"VMwareVMware"}}).kind == "vmware");
  CHECK(is_unsupported([] { static_cast<void>(detect_hypervisor("/captured")); }));
}

TEST_CASE("all else says that it is not supported") {
  CHECK(is_unsupported([] { static_cast<void>(read_balloon("/")); }));
  CHECK(is_unsupported([] { static_cast<void>(free_blocks("/")); }));
  CHECK(is_unsupported([] { static_cast<void>(resident_memory()); }));
  CHECK(is_unsupported([] { compact_memory("/"); }));
  CHECK_FALSE(trim_heap());
}

}  // namespace numapool
