// Typed values of small files: sets of ids, sizes in kB, plain numbers.
#include "platform/linux/files/file_values.hpp"

#include <charconv>
#include <limits>

#include "platform/linux/files/id_list.hpp"

namespace numapool::platform {
namespace {

bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

}  // namespace

Result<std::optional<std::vector<int>>> read_ids(const Folder& folder, const char* file,
                                                 int largest, const char* why) {
  const auto text = folder.read(file);
  if (!text) return std::optional<std::vector<int>>{};
  auto ids = parse_id_list(*text, largest);
  // A text as long as the most that is read was cut, perhaps inside a number.
  if (!ids || text->size() >= kLargestFile) return folder.nonsense(file, *text, why);
  return ids;
}

Result<std::optional<std::uint64_t>> read_number(const Folder& folder, const char* file) {
  const auto text = folder.read(file);
  const std::string_view digits = text ? trimmed(*text) : std::string_view{};
  if (digits.empty()) return std::optional<std::uint64_t>{};
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    return folder.nonsense(file, *text, "is not a number");
  }
  return std::optional(value);
}

std::optional<std::uint64_t> meminfo_bytes(std::string_view text, std::string_view key) noexcept {
  std::size_t at = text.find(key);
  // At the start of a word: "MemFree:" is no part of another key.
  while (at != std::string_view::npos && at != 0 && text[at - 1] != '\n' &&
         !is_blank(text[at - 1])) {
    at = text.find(key, at + 1);
  }
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + key.size());
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  std::uint64_t kib = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), kib);
  if (error != std::errc{} || kib > std::numeric_limits<std::uint64_t>::max() / kKiB) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (!text.starts_with(" kB")) return std::nullopt;
  return kib * kKiB;
}

}  // namespace numapool::platform
