// Notes on parts of a topology that could not be read or made no sense.
#pragma once

#include <string>
#include <vector>

#include "platform/linux/files/file_tree.hpp"
#include "platform/topology.hpp"

namespace numapool::platform {

class Notes {
 public:
  // A file that makes no sense.
  void add(Failure failure, std::string instead);
  // A file that was just read without success: `code` is errno of the attempt. A file that does not
  // exist is an old or small kernel's: no note.
  void add_unreadable(const Folder& folder, const char* file, int code, std::string instead);

  // The first file that makes no sense.
  [[nodiscard]] const Failure* nonsense() const noexcept;
  // The first failure because descriptors or memory ran out. It is temporary, so nothing that was
  // read meanwhile is worth keeping.
  [[nodiscard]] const Failure* shortage() const noexcept;
  [[nodiscard]] std::vector<TopologyNote> take() && { return std::move(notes_); }

 private:
  std::vector<TopologyNote> notes_;
};

// Whether the system is out of descriptors or memory at the moment.
[[nodiscard]] bool is_shortage(int code) noexcept;

}  // namespace numapool::platform
