// Which of the two switches for transparent huge pages applies to a size, and its value
// (Documentation/admin-guide/mm/transhuge.rst).
#pragma once

#include <string_view>

namespace numapool::platform {

struct TransparentSwitch {
  std::string_view mode;  // "always", "madvise", "never"; empty where there is no switch
  bool of_size = false;   // it is the size's own

  [[nodiscard]] bool on() const noexcept { return !mode.empty() && mode != "never"; }
};

// The word in brackets of "always [madvise] never".
[[nodiscard]] inline std::string_view chosen_word(std::string_view text) noexcept {
  const std::size_t open = text.find('[');
  const std::size_t end = text.find(']');
  if (open == std::string_view::npos || end == std::string_view::npos || end < open) return {};
  return text.substr(open + 1, end - open - 1);
}

// The texts of transparent_hugepage/enabled and, from Linux 6.8 on, of its
// hugepages-<size>kB/enabled; the latter is empty where there is no such file.
[[nodiscard]] inline TransparentSwitch transparent_switch(std::string_view all,
                                                          std::string_view of_size) noexcept {
  const std::string_view own = chosen_word(of_size);
  if (own == "always" || own == "madvise" || own == "never") return {own, true};
  return {chosen_word(all), false};
}

}  // namespace numapool::platform
