// The balloon's features by name, free memory as a host sees it, and compaction.
#include <array>
#include <cerrno>
#include <utility>

#include "numapool/error.hpp"
#include "numapool/host.hpp"
#include "platform/host.hpp"

namespace numapool {
namespace {

constexpr int kReportingBit = 5;

// Virtual I/O Device (VIRTIO) 1.3: 5.5.3 for the balloon, 6 for all devices.
constexpr std::array<std::pair<int, const char*>, 20> kFeatures{{
    {0, "MUST_TELL_HOST"},   {1, "STATS_VQ"},           {2, "DEFLATE_ON_OOM"},
    {3, "FREE_PAGE_HINT"},   {4, "PAGE_POISON"},        {kReportingBit, "REPORTING"},
    {24, "NOTIFY_ON_EMPTY"}, {27, "ANY_LAYOUT"},        {28, "INDIRECT_DESC"},
    {29, "EVENT_IDX"},       {32, "VERSION_1"},         {33, "ACCESS_PLATFORM"},
    {34, "RING_PACKED"},     {35, "IN_ORDER"},          {36, "ORDER_PLATFORM"},
    {37, "SR_IOV"},          {38, "NOTIFICATION_DATA"}, {39, "NOTIF_CONFIG_DATA"},
    {40, "RING_RESET"},      {41, "ADMIN_VQ"},
}};

std::string feature_name(int bit) {
  for (const auto& [known, name] : kFeatures) {
    if (known == bit) return name;
  }
  return "BIT_" + std::to_string(bit);
}

[[noreturn]] void fail(const char* what, const platform::Failure& failure) {
  if (failure.cause == platform::Cause::kUnintelligible) {
    throw Error(ErrorKind::kSystem, "cannot make sense of " + failure.call + ": " + failure.detail,
                EIO);
  }
  const auto kind =
      failure.cause == platform::Cause::kUnsupported ? ErrorKind::kUnsupported : ErrorKind::kSystem;
  throw Error(kind, std::string("cannot ") + what + ": " + describe(failure), failure.code);
}

}  // namespace

Balloon read_balloon(const std::string& root) {
  auto result = platform::read_balloon(root);
  if (!result) fail("look for a balloon", result.failure());
  platform::BalloonRecord& record = result.value();
  Balloon out;
  out.driver = std::move(record.driver);
  out.at_work = record.at_work;
  out.place = std::move(record.place);
  for (const int bit : record.feature_bits) {
    out.features.push_back(feature_name(bit));
    if (bit == kReportingBit) out.reports_free_pages = record.at_work;
  }
  out.source = std::move(record.source);
  out.inflated_bytes = record.inflated_bytes;
  out.target_bytes = record.target_bytes;
  return out;
}

FreeBlocks free_blocks(const std::string& root) {
  const auto order = platform::page_reporting_order(root);
  if (!order) fail("read the order of page reporting", order.failure());
  const auto free = platform::free_bytes_by_order(root);
  if (!free) fail("count free blocks", free.failure());
  FreeBlocks out;
  out.order = order.value().order;
  out.order_assumed = order.value().assumed;
  out.block_bytes = order.value().page_bytes << out.order;
  for (std::size_t i = 0; i < free.value().size(); ++i) {
    const bool whole = i >= static_cast<std::size_t>(out.order);
    (whole ? out.reportable_bytes : out.fragmented_bytes) += free.value()[i];
  }
  return out;
}

void compact_memory(const std::string& root) {
  const platform::Status status = platform::compact_memory(root);
  if (status) return;
  const platform::Failure& failure = status.failure();
  if (failure.cause == platform::Cause::kRefused) {
    throw Error(ErrorKind::kSystem,
                "compaction is for root, and needs a writable /proc/sys: " + describe(failure) +
                    "; run as root outside of a container, or leave compact=False",
                failure.code == EPERM ? EPERM : EACCES);
  }
  if (failure.cause == platform::Cause::kUnsupported) {
    throw Error(
        ErrorKind::kUnsupported,
        "this kernel cannot compact memory (it needs CONFIG_COMPACTION): " + describe(failure),
        failure.code);
  }
  fail("compact memory", failure);
}

Resident resident_memory() {
  const auto result = platform::resident_bytes();
  if (!result) fail("read this process's memory", result.failure());
  return {result.value().now, result.value().peak};
}

bool trim_heap() noexcept { return platform::trim_heap(); }

}  // namespace numapool
