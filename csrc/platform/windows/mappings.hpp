// The memory that numapool has mapped. Windows ties a range of addresses to a node when they are
// reserved, so changing the node means reserving the same addresses again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>

#include "platform/memory.hpp"
#include "platform/windows/api.hpp"

namespace numapool::platform::windows {

// Thread-safe. The lock is a leaf, held over the calls that give addresses up and take them back.
class Mappings {
 public:
  Result<void*> map(std::size_t length, const Pages& pages);
  Status unmap(void* address, std::size_t length);
  // Gives the pages back; those of large pages only with the whole mapping.
  Status discard(void* address, std::size_t length);
  // Where nothing has been written yet, takes the range anew on `node`; else notes the node for
  // when the whole range is discarded.
  Status prefer(void* address, std::size_t length, int node);
  // Before the pages of a part are made resident: what failed to come back after a discard is
  // committed, and from now on the range has contents.
  Status prepare(void* address, std::size_t length);

 private:
  struct Mapping {
    std::size_t length = 0;
    Pages pages;
    std::optional<int> node;    // that the addresses were reserved with
    std::optional<int> wanted;  // for when there are no contents
    bool has_contents = false;
    bool lost = false;  // the addresses could not be taken back: they are not ours
  };
  using Entry = std::map<std::uintptr_t, Mapping>::iterator;

  Entry find(const void* address, std::size_t length);
  static Status take_anew(void* address, Mapping& mapping, std::optional<int> node);

  std::mutex mutex_;
  std::map<std::uintptr_t, Mapping> all_;
};

Mappings& mappings();

}  // namespace numapool::platform::windows
