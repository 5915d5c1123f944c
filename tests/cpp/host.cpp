// What the core makes of a platform's clues, of its balloon and of its free blocks.
#include "numapool/host.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <tuple>

#include "platform/fake/host_script.hpp"
#include "scripted.hpp"

namespace numapool {
namespace {

using platform::Cause;
using platform::Clue;
using platform::ClueKind;
using platform::Failure;
using platform::fake::host_script;

struct Host {
  Host() { platform::fake::reset_host(); }
  ~Host() { platform::fake::reset_host(); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
};

const Cpuid kBare{};
const Cpuid kKvm{true, {"KVMKVMKVM"}};

}  // namespace

TEST_CASE("what decided comes first, and nothing is lost of the rest") {
  const Host host;
  host_script().clues = std::vector<Clue>{{ClueKind::kProduct, "product", "Standard PC"},
                                          {ClueKind::kVendor, "vendor", "QEMU"}};
  const Hypervisor found = detect_hypervisor("/", kKvm);
  CHECK(found.kind == "kvm");
  CHECK(found.vendor_signature == "KVMKVMKVM");
  CHECK(found.product == "Standard PC");
  CHECK(found.evidence == std::vector<std::string>{"CPUID signature: KVMKVMKVM",
                                                   "product: Standard PC", "vendor: QEMU",
                                                   "CPUID: a hypervisor is present"});
}

TEST_CASE("a processor's CPUID comes before the flag that was made of it") {
  const Host host;
  host_script().clues = std::vector<Clue>{{ClueKind::kHypervisorFlag, "cpuinfo", "flag"}};
  CHECK(detect_hypervisor("/x").kind == "unknown");
  const Hypervisor bare = detect_hypervisor("/x", kBare);
  CHECK(bare.kind.empty());
  CHECK(bare.evidence == std::vector<std::string>{"CPUID: no hypervisor is present"});
}

TEST_CASE("signatures mean nothing while the bit is clear") {
  const Host host;
  CHECK(detect_hypervisor("/", Cpuid{false, {"KVMKVMKVM"}}).kind.empty());
}

TEST_CASE("blanks and NULs around a signature do not matter") {
  const Host host;
  for (const std::string& text : {std::string("bhyve bhyve "), std::string("bhyve bhyve\0", 12),
                                  std::string("bhyve bhyve")}) {
    CHECK(detect_hypervisor("/", Cpuid{true, {text}}).kind == "bhyve");
  }
  CHECK(detect_hypervisor("/", Cpuid{true, {std::string("\0\0 ", 3)}}).kind == "unknown");
}

TEST_CASE("where the system tells nothing, CPUID is enough") {
  const Host host;
  host_script().clues = Failure{Cause::kUnsupported, "hypervisor_clues", 0, "/"};
  CHECK(detect_hypervisor("/", kKvm).kind == "kvm");
  CHECK(detect_hypervisor("/", kBare).kind.empty());
  CHECK(kind_of([] { return detect_hypervisor("/elsewhere"); }) == ErrorKind::kUnsupported);
}

TEST_CASE("a root that cannot be read is the system's error") {
  const Host host;
  host_script().clues = Failure{Cause::kOther, "open", 2, "/none"};
  const auto [kind, message] = error_of([] { return detect_hypervisor("/none", kKvm); });
  CHECK(kind == ErrorKind::kSystem);
  CHECK(message == "cannot look for a hypervisor: open(/none): No such file or directory");
}

TEST_CASE("features have the standard's names, and a number where it has none") {
  const Host host;
  platform::BalloonRecord record;
  record.driver = "virtio";
  record.at_work = true;
  record.feature_bits = {0, 1, 2, 3, 4, 5, 6, 32, 99};
  host_script().balloon = record;
  const Balloon found = read_balloon("/");
  CHECK(found.features == std::vector<std::string>{"MUST_TELL_HOST", "STATS_VQ", "DEFLATE_ON_OOM",
                                                   "FREE_PAGE_HINT", "PAGE_POISON", "REPORTING",
                                                   "BIT_6", "VERSION_1", "BIT_99"});
  CHECK(found.reports_free_pages);
  record.at_work = false;
  host_script().balloon = record;
  CHECK_FALSE(read_balloon("/").reports_free_pages);
}

TEST_CASE("free blocks are parted at the order of reporting") {
  const Host host;
  host_script().free_bytes = std::vector<std::uint64_t>{1, 10, 100, 1000};
  for (const auto& [order, fragmented, reportable] :
       {std::tuple{0, 0U, 1111U}, std::tuple{2, 11U, 1100U}, std::tuple{9, 1111U, 0U}}) {
    host_script().order = platform::ReportingOrder{order, false, 4096};
    const FreeBlocks found = free_blocks("/");
    CHECK(found.fragmented_bytes == fragmented);
    CHECK(found.reportable_bytes == reportable);
    CHECK(found.block_bytes == std::uint64_t{4096} << order);
  }
  host_script().free_bytes = Failure{Cause::kUnintelligible, "buddyinfo", 0, "'x' is no count"};
  const auto [kind, message] = error_of([] { return free_blocks("/"); });
  CHECK(kind == ErrorKind::kSystem);
  CHECK(message == "cannot make sense of buddyinfo: 'x' is no count");
}

TEST_CASE("a refused compaction says who may") {
  const Host host;
  compact_memory("/");
  CHECK(host_script().compactions == 1);
  host_script().compaction = Failure{Cause::kRefused, "open", EROFS, "compact_memory"};
  try {
    compact_memory("/");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kSystem);
    CHECK(error.code() == EACCES);  // Python's PermissionError
    CHECK(error.message().find("root") != std::string::npos);
  }
  host_script().compaction = Failure{Cause::kUnsupported, "open", ENOENT, "compact_memory"};
  const auto compact = [] {
    compact_memory("/");
    return 0;
  };
  CHECK(kind_of(compact) == ErrorKind::kUnsupported);
  host_script().compaction = Failure{Cause::kOther, "write", EIO, "compact_memory"};
  CHECK(kind_of(compact) == ErrorKind::kSystem);
}

}  // namespace numapool
