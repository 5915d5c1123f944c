// Finds the peers' entry points with dlopen.
#include "peers.hpp"

#include <dlfcn.h>

#include <cstdlib>

namespace {

struct Library {
  const char* name;
  const char* file;
  const char* allocate;
  const char* release;
};

constexpr Library kLibraries[] = {
    {"mimalloc", "libmimalloc.so.2", "mi_malloc", "mi_free"},
    {"jemalloc", "libjemalloc.so.2", "malloc", "free"},
    {"tcmalloc", "libtcmalloc_minimal.so.4", "malloc", "free"},
};

}  // namespace

std::vector<Peer> load_peers() {
  std::vector<Peer> peers{{"malloc", &std::malloc, &std::free}};
  for (const Library& library : kLibraries) {
    void* handle = dlopen(library.file, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) continue;
    Peer peer{library.name, nullptr, nullptr};
    peer.allocate = reinterpret_cast<void* (*)(std::size_t)>(dlsym(handle, library.allocate));
    peer.release = reinterpret_cast<void (*)(void*)>(dlsym(handle, library.release));
    if (peer.allocate != nullptr && peer.release != nullptr) peers.push_back(peer);
  }
  return peers;
}
