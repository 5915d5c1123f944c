// Writes a size in bytes the way people read it.
#include "numapool/size_text.hpp"

#include <array>
#include <cmath>
#include <cstdio>

namespace numapool {

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return std::to_string(bytes) + " bytes";
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  // A value that rounds to 1024 of a unit is 1 of the next.
  while (std::round(value) >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  // Three digits at most, and no zero behind the point.
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), value >= 100 ? "%.0f" : "%.1f", value);
  std::string out = text.data();
  if (out.ends_with(".0")) out.resize(out.size() - 2);
  return out + " " + kUnits[unit];
}

}  // namespace numapool
