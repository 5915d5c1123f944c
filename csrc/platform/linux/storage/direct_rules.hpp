// The alignments that direct I/O on a file needs, as the kernel tells them, or such that always
// work.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <string>

namespace numapool::platform {

struct DirectRules {
  std::size_t memory_align = 1;
  std::size_t transfer_align = 1;
  std::string why_not;  // empty: direct I/O can be tried
};

// Of an open file with these facts (fstat(2)). Throws nothing but std::bad_alloc.
[[nodiscard]] DirectRules direct_rules(int fd, const struct stat& facts);

}  // namespace numapool::platform
