// The kernel's two ways to write a set of ids: the list "0-3,8" and the mask "00000000,0000010f".
#include "platform/linux/id_list.hpp"

#include <algorithm>
#include <charconv>

namespace numapool::platform {
namespace {

constexpr std::size_t kGroupBits = 32;

// Takes a decimal id from the front of `text`.
std::optional<int> take_id(std::string_view& text) {
  int value = 0;
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value > kLargestId) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

}  // namespace

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view kBlank{" \t\r\n\0", 5};
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::optional<std::vector<int>> parse_id_list(std::string_view text) {
  std::vector<int> ids;
  text = trimmed(text);
  while (!text.empty()) {
    const auto first = take_id(text);
    if (!first) return std::nullopt;
    int last = *first;
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      const auto end = take_id(text);
      if (!end || *end < *first) return std::nullopt;
      last = *end;
    }
    for (int id = *first; id <= last; ++id) ids.push_back(id);
    // Every range is at most kLargestId long, but a text may repeat ranges: keep the set small as
    // it grows.
    if (ids.size() > 2 * static_cast<std::size_t>(kLargestId)) {
      std::sort(ids.begin(), ids.end());
      ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    }
    if (text.empty()) break;
    if (!text.starts_with(',') || text.size() == 1) return std::nullopt;
    text.remove_prefix(1);
  }
  if (!std::is_sorted(ids.begin(), ids.end(), std::less_equal<>{})) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  }
  return ids;
}

std::optional<std::vector<int>> parse_id_mask(std::string_view text) {
  std::vector<int> ids;
  text = trimmed(text);
  if (text.starts_with("0x")) text.remove_prefix(2);
  if (text.empty()) return std::nullopt;
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
