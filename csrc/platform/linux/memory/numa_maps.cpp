// /proc/PID/numa_maps: parses its lines, and counts the pages of a range of this process.
#include "platform/linux/memory/numa_maps.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <system_error>

#include "platform/linux/memory/pagemap.hpp"

namespace numapool::platform {
namespace {

// Takes a number from the front of `text`.
template <class Number>
bool take_number(std::string_view& text, Number& value, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

// Takes the next word from the front of `text`; an empty one at the end.
std::string_view take_word(std::string_view& text) {
  const auto is_blank = [](char one) { return one == ' ' || one == '\n'; };
  std::size_t begin = 0;
  while (begin < text.size() && is_blank(text[begin])) ++begin;
  std::size_t end = begin;
  while (end < text.size() && !is_blank(text[end])) ++end;
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

// "N1=512"
void read_node(std::string_view word, MappedPages& line) {
  word.remove_prefix(1);
  int node = 0;
  std::uint64_t pages = 0;
  if (!take_number(word, node) || !word.starts_with('=')) return;
  word.remove_prefix(1);
  if (take_number(word, pages)) line.pages_by_node.emplace_back(node, pages);
}

// Empty if the node of some page cannot be told.
std::optional<std::uint64_t> resident_bytes(std::uintptr_t begin, std::uintptr_t end,
                                            std::size_t base_page) {
  constexpr std::size_t kBatch = 512;
  std::array<void*, kBatch> pages{};
  std::array<Presence, kBatch> presence{};
  std::uint64_t bytes = 0;
  for (std::uintptr_t at = begin; at < end;) {
    std::size_t count = 0;
    for (; count < kBatch && at < end; at += base_page)
      pages[count++] = reinterpret_cast<void*>(at);
    read_presence({pages.data(), count}, presence);
    for (std::size_t i = 0; i < count; ++i) {
      if (presence[i] == Presence::kUnknown) return std::nullopt;
      if (presence[i] == Presence::kPresent) bytes += base_page;
    }
  }
  return bytes;
}

}  // namespace

bool read_mapped_pages(std::string_view text, std::size_t base_page, MappedPages& line) {
  constexpr std::string_view kPageSize = "kernelpagesize_kB=";
  line.pages_by_node.clear();
  line.use = PageUse::kPrivate;
  line.page_bytes = base_page;
  line.shared = false;
  std::string_view start = take_word(text);
  if (!take_number(start, line.start, 16)) return false;
  line.policy = take_word(text);
  // Policies of two words (mpol_to_str() in mm/mempolicy.c).
  if (line.policy == "weighted" || text.starts_with(" (many)")) {
    line.policy += ' ';
    line.policy += take_word(text);
  }
  for (std::string_view word = take_word(text); !word.empty(); word = take_word(text)) {
    // A path is one word: its blanks are escaped.
    if (word.starts_with('N')) {
      read_node(word, line);
    } else if (word == "heap") {
      line.use = PageUse::kHeap;
    } else if (word.starts_with("stack")) {  // "stack:123" of a thread's before Linux 4.5
      line.use = PageUse::kStack;
    } else if (word == "huge") {
      line.use = PageUse::kHuge;               // it follows the file that the pages belong to
    } else if (word.starts_with("mapmax=")) {  // there if it is more than 1
      line.shared = true;
    } else if (word.starts_with("file=")) {
      line.use = PageUse::kFile;
    } else if (word.starts_with(kPageSize)) {
      word.remove_prefix(kPageSize.size());
      std::size_t kilobytes = 0;
      if (take_number(word, kilobytes)) line.page_bytes = kilobytes * 1024;
    }
  }
  return true;
}

NumaMaps::NumaMaps(const char* path, std::size_t base_page)
    : file_(std::fopen(path, "re")), base_page_(base_page) {
  if (!file_) error_ = errno;
}

NumaMaps::~NumaMaps() { std::free(text_); }

bool NumaMaps::next(MappedPages& line) {
  if (!file_) return false;
  errno = 0;
  ssize_t length = 0;
  while ((length = getline(&text_, &capacity_, file_.get())) > 0) {
    if (read_mapped_pages({text_, static_cast<std::size_t>(length)}, base_page_, line)) return true;
  }
  if (std::feof(file_.get()) == 0) error_ = errno;
  return false;
}

std::optional<Residency> count_in_numa_maps(std::uintptr_t begin, std::uintptr_t end,
                                            std::size_t base_page) {
  NumaMaps file("/proc/self/numa_maps", base_page);
  // Lines carry no end address: a line reaches at most to the start of the next. Those that may
  // overlap the range are the last at or below `begin` and all that start inside it.
  std::vector<MappedPages> overlapping;
  MappedPages line;
  while (file.next(line) && line.start < end) {
    if (line.start <= begin) overlapping.clear();
    overlapping.push_back(line);
  }
  if (overlapping.empty() || overlapping.front().start > begin) return std::nullopt;

  Residency out;
  out.method = Method::kNumaMaps;
  out.page_bytes = base_page;
  std::map<int, std::uint64_t> bytes_by_node;
  std::uint64_t counted = 0;
  for (const MappedPages& one : overlapping) {
    out.page_bytes = std::max(out.page_bytes, one.page_bytes);
    for (const auto& [node, pages] : one.pages_by_node) {
      bytes_by_node[node] += pages * one.page_bytes;
      counted += pages * one.page_bytes;
    }
  }
  const std::optional<std::uint64_t> told = resident_bytes(begin, end, base_page);
  if (!told) return std::nullopt;
  const std::uint64_t resident = *told;
  if (counted != resident) {
    // Neighbours are counted in. On a single node the answer is still certain, and only its size is
    // corrected.
    if (bytes_by_node.size() != 1 || counted < resident) return std::nullopt;
    bytes_by_node.begin()->second = resident;
  }
  if (resident != 0) out.bytes_by_node.assign(bytes_by_node.begin(), bytes_by_node.end());
  out.not_resident_bytes = (end - begin) - resident;
  return out;
}

}  // namespace numapool::platform
