// Where pages are: QueryWorkingSetEx, which tells a node for each page of the working set.
#include <algorithm>
#include <array>
#include <map>

#include "platform/memory.hpp"
#include "platform/windows/api.hpp"

namespace numapool::platform {
namespace {

using windows::api;

constexpr std::size_t kSampleStride = 64;  // base pages, as the contract says
constexpr std::size_t kBatch = 512;

// Counts what one batch of answers says; each page stands for so many bytes.
class Census {
 public:
  explicit Census(Residency& out) noexcept : out_(out) {}

  void look(std::uintptr_t page, std::uint64_t bytes) {
    questions_[count_].VirtualAddress = reinterpret_cast<void*>(page);
    weights_[count_] = bytes;
    if (++count_ == kBatch) flush();
  }
  void finish() {
    flush();
    out_.bytes_by_node.assign(by_node_.begin(), by_node_.end());
    if (answered_ && out_.unknown_bytes == 0) out_.method = Method::kQueryWorkingSet;
  }

 private:
  void flush() {
    if (count_ == 0) return;
    const auto size = static_cast<DWORD>(count_ * sizeof questions_[0]);
    const bool told =
        api().QueryWorkingSetEx(::GetCurrentProcess(), questions_.data(), size) != FALSE;
    answered_ = answered_ || told;
    for (std::size_t i = 0; i < count_; ++i) {
      const auto& answer = questions_[i].VirtualAttributes;
      if (!told) {
        out_.unknown_bytes += weights_[i];
      } else if (answer.Valid == 0) {
        out_.not_resident_bytes += weights_[i];
      } else {
        by_node_[static_cast<int>(answer.Node)] += weights_[i];
        if (answer.LargePage != 0)
          out_.page_bytes = std::max<std::size_t>(out_.page_bytes, api().GetLargePageMinimum());
      }
    }
    count_ = 0;
  }

  Residency& out_;
  bool answered_ = false;
  std::size_t count_ = 0;
  std::map<int, std::uint64_t> by_node_;
  std::array<PSAPI_WORKING_SET_EX_INFORMATION, kBatch> questions_{};
  std::array<std::uint64_t, kBatch> weights_{};
};

}  // namespace

Residency residency(const void* address, std::size_t length, const Pages& pages,
                    Precision precision) {
  Residency out;
  const std::size_t base = base_page_bytes();
  out.page_bytes = base;
  std::size_t step = precision == Precision::kSampled ? base * kSampleStride : base;
  if (pages.kind == PageKind::kHugetlb) step = pages.bytes;
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  Census census(out);
  for (std::size_t at = 0; at < length; at += step)
    census.look(begin + at, std::min<std::uint64_t>(step, length - at));
  census.finish();
  return out;
}

Result<int> node_of_page(const void* page, Method method) {
  if (method != Method::kQueryWorkingSet)
    return windows::no_such("node_of_page", "Windows has QueryWorkingSetEx for that");
  PSAPI_WORKING_SET_EX_INFORMATION one{};
  one.VirtualAddress = const_cast<void*>(page);
  if (api().QueryWorkingSetEx(::GetCurrentProcess(), &one, sizeof one) == FALSE)
    return windows::failed("QueryWorkingSetEx", ::GetLastError());
  if (one.VirtualAttributes.Valid == 0) {
    return Failure{Cause::kOther, "QueryWorkingSetEx", 0, "the page is not in the working set"};
  }
  return static_cast<int>(one.VirtualAttributes.Node);
}

}  // namespace numapool::platform
