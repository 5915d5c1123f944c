// A node mask as the kernel's memory policy calls take it.
#pragma once

#include <array>
#include <span>
#include <vector>

namespace numapool::platform {

// 1024 bits: the kernel's largest configuration (NODES_SHIFT 10), so a mask of this width holds any
// node id. The kernel uses maxnode - 1 bits and wants zeros above its own highest node, so maxnode
// is one larger.
class NodeMask {
 public:
  static constexpr int kBits = 1024;
  static constexpr unsigned long kMaxNode = kBits + 1;

  NodeMask() = default;
  explicit NodeMask(std::span<const int> nodes) noexcept {
    for (const int node : nodes) set(node);
  }

  void set(int node) noexcept {
    if (node < 0 || node >= kBits) return;
    const auto bit = static_cast<unsigned>(node);
    words_[bit / kWordBits] |= 1UL << (bit % kWordBits);
  }
  [[nodiscard]] bool test(int node) const noexcept {
    if (node < 0 || node >= kBits) return false;
    const auto bit = static_cast<unsigned>(node);
    return ((words_[bit / kWordBits] >> (bit % kWordBits)) & 1UL) != 0;
  }
  [[nodiscard]] std::vector<int> nodes() const {
    std::vector<int> out;
    for (int node = 0; node < kBits; ++node) {
      if (test(node)) out.push_back(node);
    }
    return out;
  }
  [[nodiscard]] unsigned long* data() noexcept { return words_.data(); }
  [[nodiscard]] const unsigned long* data() const noexcept { return words_.data(); }

 private:
  static constexpr unsigned kWordBits = 8 * sizeof(unsigned long);
  std::array<unsigned long, kBits / kWordBits> words_{};
};

}  // namespace numapool::platform
