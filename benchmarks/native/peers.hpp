// General-purpose allocators, loaded at run time so that none of them replaces this program's own.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

struct Peer {
  std::string name;
  void* (*allocate)(std::size_t) = nullptr;
  void (*release)(void*) = nullptr;
};

// The C library's and those of mimalloc, jemalloc and tcmalloc that are installed.
[[nodiscard]] std::vector<Peer> load_peers();
