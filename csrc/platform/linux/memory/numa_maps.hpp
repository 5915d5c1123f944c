// /proc/PID/numa_maps: the pages of each mapping of a process by node. Of this process it is the
// slow way to see where pages are, for processes that may not ask otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/linux/files/c_file.hpp"
#include "platform/memory.hpp"
#include "platform/process_memory.hpp"

namespace numapool::platform {

// A line: "7f0000000000 prefer:1 anon=512 dirty=512 N1=512 kernelpagesize_kB=4". A kernel before
// 3.14 does not tell the size of pages: then it is a base page.
struct MappedPages {
  std::uintptr_t start = 0;
  std::string policy;
  PageUse use = PageUse::kPrivate;
  std::size_t page_bytes = 0;
  bool shared = false;  // some page of it is mapped more than once, perhaps by other processes
  std::vector<std::pair<int, std::uint64_t>> pages_by_node;  // in the order of the line
};

// Reads a line into `line`, whose memory is used again. False if the text is not such a line.
bool read_mapped_pages(std::string_view text, std::size_t base_page, MappedPages& line);

// The lines of a file, one after the other.
class NumaMaps {
 public:
  NumaMaps(const char* path, std::size_t base_page);
  ~NumaMaps();
  NumaMaps(const NumaMaps&) = delete;
  NumaMaps& operator=(const NumaMaps&) = delete;

  [[nodiscard]] bool next(MappedPages& line);  // false at the end, and where it cannot be read
  [[nodiscard]] int error() const noexcept { return error_; }  // errno; 0: none

 private:
  CFile file_;
  std::size_t base_page_;
  char* text_ = nullptr;
  std::size_t capacity_ = 0;
  int error_ = 0;
};

// Counts the pages of [begin, end) of this process. Empty if the file is missing, or if the kernel
// merged the range with a neighbour into one line whose pages are on several nodes, so that ours
// cannot be told apart. The cost grows with the process: the kernel walks every page of every
// mapping (Documentation/filesystems/proc.rst).
std::optional<Residency> count_in_numa_maps(std::uintptr_t begin, std::uintptr_t end,
                                            std::size_t base_page);

}  // namespace numapool::platform
