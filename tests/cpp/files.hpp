// What tests of files share: scripted files with contents that tell where a byte is from.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "platform/fake/storage_script.hpp"

namespace numapool {

// Every 8 bytes name their own offset, so that a block of another place is never equal.
inline std::string pattern(std::size_t bytes) {
  std::string out(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) {
    const std::uint64_t mixed = (i / 8 + 1) * 0x9E3779B97F4A7C15ULL;
    out[i] = static_cast<char>(mixed >> (i % 8 * 8));
  }
  return out;
}

struct Files {
  Files() { platform::fake::reset_storage(); }
  ~Files() {
    CHECK(storage().misuses == 0);
    CHECK(storage().open_handles == 0);
    platform::fake::reset_storage();
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  static platform::fake::StorageScript& storage() { return platform::fake::storage_script(); }
  static platform::fake::StorageFile& file(std::size_t bytes, const char* path = "x") {
    platform::fake::StorageFile& made = storage().files[path];
    made = {};
    made.bytes = pattern(bytes);
    return made;
  }
  static std::vector<platform::fake::StorageCall> calls() {
    const std::lock_guard guard(storage().mutex);
    return storage().calls;
  }
};

// Memory that begins at a multiple of a page, plus what a test wants it to be off.
class Memory {
 public:
  explicit Memory(std::size_t bytes, std::size_t off = 0, char fill = '.')
      : bytes_(bytes + off + 4096, fill), length_(bytes) {
    const auto begin = reinterpret_cast<std::uintptr_t>(bytes_.data());
    at_ = (4096 - begin % 4096) % 4096 + off;
  }
  [[nodiscard]] char* data() { return bytes_.data() + at_; }
  [[nodiscard]] platform::Piece piece() { return {data(), length_}; }
  [[nodiscard]] std::string text(std::size_t bytes) { return {data(), bytes}; }

 private:
  std::vector<char> bytes_;
  std::size_t length_;
  std::size_t at_ = 0;
};

}  // namespace numapool
