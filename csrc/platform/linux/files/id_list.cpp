// The kernel's two ways to write a set of ids: the list "0-3,8", also with strides ("0-15:1/2": the
// first of each two), and the mask "00000000,0000010f".
#include "platform/linux/files/id_list.hpp"

#include <algorithm>
#include <charconv>

namespace numapool::platform {
namespace {

constexpr std::size_t kGroupBits = 32;

struct Range {
  int first = 0;
  int last = 0;
};

// Of each `group` ids the first `used`.
struct Stride {
  int used = 1;
  int group = 1;
};

// Ranges with a stride that one text may hold: each takes time, however few ids it names.
constexpr std::size_t kMostStrides = 64;

// Takes a decimal id from the front of `text`.
std::optional<int> take_id(std::string_view& text, int largest) {
  int value = 0;
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value > largest) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

// Takes ":used/group" from the front of `text`, as the kernel reads it from users
// (Documentation/admin-guide/kernel-parameters.rst).
std::optional<Stride> take_stride(std::string_view& text) {
  if (!text.starts_with(':')) return Stride{};
  text.remove_prefix(1);
  const auto used = take_id(text, kLargestId);
  if (!used || !text.starts_with('/')) return std::nullopt;
  text.remove_prefix(1);
  const auto group = take_id(text, kLargestId);
  if (!group || *group == 0 || *used > *group) return std::nullopt;
  return Stride{*used, *group};
}

std::optional<std::vector<Range>> parse_ranges(std::string_view text, int largest) {
  std::vector<Range> ranges;
  std::size_t strides = 0;
  while (!text.empty()) {
    const auto first = take_id(text, largest);
    if (!first) return std::nullopt;
    Range range{*first, *first};
    Stride stride;
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      const auto last = take_id(text, largest);
      if (!last || *last < *first) return std::nullopt;
      range.last = *last;
      const auto taken = take_stride(text);
      if (!taken) return std::nullopt;
      stride = *taken;
    }
    if (stride.used == stride.group) {
      ranges.push_back(range);
    } else if (++strides > kMostStrides) {
      return std::nullopt;
    } else {
      for (int at = range.first; stride.used != 0 && at <= range.last; at += stride.group)
        ranges.push_back({at, std::min(at + stride.used - 1, range.last)});
    }
    if (text.empty()) break;
    if (!text.starts_with(',') || text.size() == 1) return std::nullopt;
    text.remove_prefix(1);
  }
  return ranges;
}

}  // namespace

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view kBlank{" \t\r\n\0", 5};
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::optional<std::vector<int>> parse_id_list(std::string_view text, int largest) {
  auto ranges = parse_ranges(trimmed(text), largest);
  if (!ranges) return std::nullopt;
  // Sorted, so that each id is written once however often a text repeats it.
  std::sort(ranges->begin(), ranges->end(),
            [](const Range& a, const Range& b) { return a.first < b.first; });
  std::vector<int> ids;
  int next = 0;
  for (const Range& range : *ranges) {
    for (int id = std::max(next, range.first); id <= range.last; ++id) ids.push_back(id);
    next = std::max(next, range.last + 1);
  }
  return ids;
}

std::optional<std::vector<int>> parse_id_mask(std::string_view text) {
  std::vector<int> ids;
  text = trimmed(text);
  if (text.empty()) return ids;
  // From the end: the last group holds ids 0 to 31.
  for (std::size_t group = 0;; ++group) {
    const std::size_t comma = text.rfind(',');
    const std::string_view digits = comma == std::string_view::npos ? text : text.substr(comma + 1);
    unsigned bits = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), bits, 16);
    if (error != std::errc{} || end != digits.data() + digits.size() ||
        digits.size() > kGroupBits / 4) {
      return std::nullopt;
    }
    for (std::size_t bit = 0; bit < kGroupBits; ++bit) {
      if (((bits >> bit) & 1U) == 0) continue;
      const std::size_t id = group * kGroupBits + bit;
      if (id > static_cast<std::size_t>(kLargestId)) return std::nullopt;
      ids.push_back(static_cast<int>(id));
    }
    if (comma == std::string_view::npos) return ids;
    text = text.substr(0, comma);
  }
}

}  // namespace numapool::platform
