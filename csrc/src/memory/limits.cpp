// The limits on memory that this process may still use.
#include "numapool/limits.hpp"

#include <string>

#include "memory/populate.hpp"
#include "numapool/error.hpp"
#include "numapool/size_text.hpp"

namespace numapool {

std::optional<platform::Bound> least_bound(std::span<const platform::Bound> bounds,
                                           PolicyOf policy) {
  const platform::Bound* least = nullptr;
  for (const platform::Bound& one : bounds) {
    if (!one.bytes || (one.thread_policy && policy == PolicyOf::kMapping)) continue;
    if (least == nullptr || *one.bytes < *least->bytes) least = &one;
  }
  return least == nullptr ? std::nullopt : std::optional(*least);
}

void require_available(std::uint64_t bytes, const char* what, PolicyOf policy) {
  const auto least = least_bound(platform::memory_bounds(), policy);
  if (!least || *least->bytes >= bytes) return;
  throw Error(ErrorKind::kNoMemory,
              std::string(what) + size_text(bytes) + ": only " + size_text(*least->bytes) +
                  " are available to this process, limited by " + least->limit);
}

// The kernel maps more huge pages than a cgroup may use, and sends SIGBUS when they are touched.
// Reserving more pages does not help then.
void require_hugetlb(std::uint64_t bytes, const platform::Pages& pages) {
  const auto least = least_bound(platform::hugetlb_bounds(pages.bytes));
  if (!least || *least->bytes >= bytes) return;
  throw Error(ErrorKind::kNoMemory,
              "cannot allocate " + std::to_string(bytes / pages.bytes) + " huge pages of " +
                  size_text(pages.bytes) + ": this process may use " +
                  std::to_string(*least->bytes / pages.bytes) + " more, limited by " +
                  least->limit +
                  "; raise that limit (in Kubernetes: resources.limits of hugepages), or use "
                  "another page_size");
}

}  // namespace numapool
