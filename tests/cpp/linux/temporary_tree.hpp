// A folder of files in the place of a machine's /sys and /proc, gone at the end of its scope.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace numapool::platform {

class TemporaryTree {
 public:
  TemporaryTree() {
    std::string name = (std::filesystem::temp_directory_path() / "tree.XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::filesystem::filesystem_error("mkdtemp", {});
    root_ = name;
  }
  ~TemporaryTree() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  TemporaryTree(const TemporaryTree&) = delete;
  TemporaryTree& operator=(const TemporaryTree&) = delete;

  [[nodiscard]] std::string root() const { return root_.string(); }

  // Writes in place, as the kernel does: a file held open shows the new text.
  TemporaryTree& file(const std::string& path, std::string_view text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path, std::ios::binary | std::ios::trunc) << text;
    return *this;
  }
  TemporaryTree& folder(const std::string& path) {
    std::filesystem::create_directories(root_ / path);
    return *this;
  }
  TemporaryTree& remove(const std::string& path) {
    std::filesystem::remove_all(root_ / path);
    return *this;
  }

 private:
  std::filesystem::path root_;
};

}  // namespace numapool::platform
