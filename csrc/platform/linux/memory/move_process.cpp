// Moves single stretches of another process: move_pages(2) with its process id, one address for
// each huge page.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "platform/linux/files/c_file.hpp"
#include "platform/linux/kernel/policy_calls.hpp"
#include "platform/linux/kernel/system_call.hpp"
#include "platform/linux/memory/numa_maps.hpp"
#include "platform/linux/memory/page_nodes.hpp"
#include "platform/memory.hpp"
#include "platform/process_memory.hpp"

namespace numapool::platform {
namespace {

// "7f00-7f10 r--p ...": ends by beginnings.
std::map<std::uintptr_t, std::uintptr_t> mapping_ends(const std::string& path) {
  std::map<std::uintptr_t, std::uintptr_t> ends;
  const CFile file(std::fopen(path.c_str(), "re"));
  if (!file) return ends;
  char* line = nullptr;
  std::size_t capacity = 0;
  while (getline(&line, &capacity, file.get()) > 0) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &begin, &end) == 2)
      ends.emplace_hint(ends.end(), begin, end);
  }
  std::free(line);
  return ends;
}

// Pages of a process that are moved, or asked about, together.
class SomePages {
 public:
  SomePages(int process, int node) : process_(process), node_(node) {}

  void add(std::uintptr_t page) { pages_.push_back(reinterpret_cast<void*>(page)); }
  [[nodiscard]] bool is_full() const noexcept { return pages_.size() == kPagesPerMove; }
  void clear() noexcept { pages_.clear(); }

  // False with errno if the kernel refuses the call as a whole. Pages that stay are no refusal.
  bool move() {
    if (pages_.empty()) return true;
    targets_.assign(pages_.size(), node_);
    return call(targets_.data());
  }
  bool ask() { return pages_.empty() || call(nullptr); }
  // Whether a page is on the node now, after move() or ask().
  [[nodiscard]] bool is_there(std::size_t at) const noexcept { return status_[at] == node_; }
  [[nodiscard]] std::size_t there() const noexcept {
    return static_cast<std::size_t>(std::count(status_.begin(), status_.end(), node_));
  }

 private:
  bool call(const int* targets) {
    status_.assign(pages_.size(), kUnanswered);
    const long done =
        kernel::move_pages_of(process_, pages_.size(), pages_.data(), targets, status_.data());
    return done >= 0 || leaves_pages(errno);
  }

  int process_;
  int node_;
  std::vector<void*> pages_;
  std::vector<int> targets_;
  std::vector<int> status_;
};

Failure move_refused(int process) {
  return failed("move_pages", errno, "process " + std::to_string(process));
}

// Moves every base page of [begin, end). The pages that are on the node then.
Result<std::size_t> move_base_pages(SomePages& batch, int process, std::uintptr_t begin,
                                    std::uintptr_t end, std::size_t page) {
  std::size_t there = 0;
  for (std::uintptr_t at = begin; at < end;) {
    batch.clear();
    for (; at < end && !batch.is_full(); at += page) batch.add(at);
    if (!batch.move()) return move_refused(process);
    there += batch.there();
  }
  return there;
}

}  // namespace

Result<std::vector<ProcessArea>> private_areas(const std::string& folder, int from, int to) {
  const std::size_t base_page = base_page_bytes();
  const auto ends = mapping_ends(folder + "/maps");
  const std::string path = folder + "/numa_maps";
  NumaMaps file(path.c_str(), base_page);
  std::vector<ProcessArea> out;
  MappedPages line;
  while (file.next(line)) {
    if (line.shared || line.page_bytes != base_page || line.use == PageUse::kHuge ||
        line.use == PageUse::kFile)
      continue;
    bool on_from = false;
    bool elsewhere = false;
    for (const auto& [node, pages] : line.pages_by_node) {
      on_from = on_from || (node == from && pages != 0);
      elsewhere = elsewhere || (node != from && node != to && pages != 0);
    }
    const auto end = ends.find(line.start);
    if (on_from && !elsewhere && end != ends.end()) out.push_back({line.start, end->second});
  }
  if (file.error() != 0) return failed("read", file.error(), path);
  return out;
}

// A page that is asked to move takes the huge page that it belongs to along. So the first page of
// each block is moved, and a look at the last one tells whether the block was one.
Result<std::uint64_t> move_process_pages(int process, ProcessArea area, int node) {
  const std::size_t page = base_page_bytes();
  const std::size_t huge = transparent_sizes() == 0 ? 0 : whole_entry_bytes();
  const std::uintptr_t blocks = huge == 0 ? area.end : (area.begin + huge - 1) / huge * huge;
  const std::uintptr_t blocks_end = huge == 0 ? area.end : area.end / huge * huge;
  SomePages batch(process, node);
  std::uint64_t bytes = 0;
  const auto base_pages = [&](std::uintptr_t begin, std::uintptr_t end) -> Status {
    const auto there = move_base_pages(batch, process, begin, end, page);
    if (!there) return there.failure();
    bytes += there.value() * page;
    return Done{};
  };
  if (blocks >= blocks_end) {
    if (const Status moved = base_pages(area.begin, area.end); !moved) return moved.failure();
    return bytes;
  }
  std::vector<std::uintptr_t> of_base_pages;
  for (std::uintptr_t at = blocks; at < blocks_end;) {
    const std::uintptr_t begin = at;
    batch.clear();
    for (; at < blocks_end && !batch.is_full(); at += huge) batch.add(at);
    if (!batch.move()) return move_refused(process);
    batch.clear();
    for (std::uintptr_t one = begin; one < at; one += huge) batch.add(one + huge - page);
    if (!batch.ask()) return move_refused(process);
    for (std::size_t one = 0; begin + one * huge < at; ++one) {
      if (batch.is_there(one)) {
        bytes += huge;
      } else {
        of_base_pages.push_back(begin + one * huge);
      }
    }
  }
  if (const Status moved = base_pages(area.begin, blocks); !moved) return moved.failure();
  for (std::size_t one = 0; one < of_base_pages.size();) {
    // Blocks that follow each other, together.
    const std::uintptr_t begin = of_base_pages[one];
    std::uintptr_t end = begin;
    for (; one < of_base_pages.size() && of_base_pages[one] == end; ++one) end += huge;
    if (const Status moved = base_pages(begin, end); !moved) return moved.failure();
  }
  if (const Status moved = base_pages(blocks_end, area.end); !moved) return moved.failure();
  return bytes;
}

}  // namespace numapool::platform
