// Where single pages are, asked of move_pages(2); pages that automatic balancing hides are read and
// asked about again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "platform/linux/kernel/policy_calls.hpp"
#include "platform/result.hpp"

namespace numapool::platform {

constexpr int kNotResident = -1;
constexpr int kUnknownNode = -2;

// To be moved by one call. Each call makes every CPU put back the pages that it has set aside
// (lru_cache_disable() in mm/swap.c), and ends at a page that cannot be moved now.
constexpr std::size_t kPagesPerMove = 65536;

enum class Presence : std::uint8_t { kAbsent, kPresent, kUnknown };

// The calls that are made. Tests script a kernel of their own.
struct PageCalls {
  // move_pages(2) of this process; `nodes` null only asks.
  long (*move_pages)(std::size_t count, void** pages, const int* nodes, int* status);
  // Whether each page is in memory for this process: in its page table, or on its way there.
  void (*presence)(std::span<void* const> pages, std::span<Presence> out);
  // Reads `length` bytes of pages that are present, and moves none of them. False if some could not
  // be read.
  bool (*read)(void* address, std::size_t length);
  // Whether the range is in huge pages throughout. False also if that cannot be told.
  bool (*are_huge)(const void* address, std::size_t length);
};
extern const PageCalls kSystemPageCalls;

// The node of every page, kNotResident or kUnknownNode. The failure of move_pages itself; one that
// says "done" and answers nothing is kUnsupported.
Status ask_nodes(std::span<void*> pages, std::span<int> nodes,
                 const PageCalls& calls = kSystemPageCalls);

// Whether move_pages fails with this code because of single pages: the node is full, or a page is
// in use. Any other failure is one of the call.
[[nodiscard]] bool leaves_pages(int code) noexcept;

// Moves pages to `node` (MPOL_MF_MOVE), all in one call; the groups of 512 pages that it leaves out
// by ending early, one by one. Returns what move_pages returned last; `status` has its word on each
// page, or kUnanswered, and errno is its own.
long move_pages_to(std::span<void*> pages, int node, std::span<int> status,
                   const PageCalls& calls = kSystemPageCalls);

// Whether nothing at all was answered.
[[nodiscard]] bool all_unanswered(std::span<const int> status) noexcept;

// While it lives, no page moves because this thread touches it: a fault on a page that automatic
// balancing has marked otherwise moves the page to the node of the thread.
class PagesStay {
 public:
  PagesStay() noexcept;
  ~PagesStay();
  PagesStay(const PagesStay&) = delete;
  PagesStay& operator=(const PagesStay&) = delete;

 private:
  bool changed_ = false;
};

}  // namespace numapool::platform
