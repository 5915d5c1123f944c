// Whether transparent huge pages of a size are switched on: the switch for all sizes, and the one
// of the size (Documentation/admin-guide/mm/transhuge.rst).
#pragma once

#include <string_view>

namespace numapool::platform {

enum class TransparentSwitch { kOn, kOff, kOffForSize };

// The texts of transparent_hugepage/enabled and, from Linux 6.8 on, of its
// hugepages-<size>kB/enabled; the latter is empty where there is no such file.
[[nodiscard]] inline TransparentSwitch transparent_switch(std::string_view all,
                                                          std::string_view of_size) noexcept {
  const auto chosen = [](std::string_view text, std::string_view word) {
    return text.find(word) != std::string_view::npos;
  };
  if (chosen(of_size, "[never]")) return TransparentSwitch::kOffForSize;
  if (chosen(of_size, "[always]") || chosen(of_size, "[madvise]")) return TransparentSwitch::kOn;
  if (all.empty() || chosen(all, "[never]")) return TransparentSwitch::kOff;
  return TransparentSwitch::kOn;
}

}  // namespace numapool::platform
