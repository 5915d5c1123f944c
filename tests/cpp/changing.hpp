// A scripted machine whose nodes change under what was kept, as a real machine's do.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "numapool/current_topology.hpp"
#include "scripted.hpp"

namespace numapool {

template <class Machine>
struct Changing : Machine {
  Changing() { static_cast<void>(renewed_topology()); }
  ~Changing() {
    platform::fake::reset_topology();
    static_cast<void>(renewed_topology());
  }
  Changing(const Changing&) = delete;
  Changing& operator=(const Changing&) = delete;

  static platform::TopologyRecord& script() { return platform::fake::topology_script(); }
  // The first `count` of three nodes of 64 MiB in a row; the others may come.
  static void have_nodes(int count) {
    using platform::fake::node;
    auto all = platform::fake::machine_of({node(0, {0, 1}, 64 * kMiB, {10, 20, 30}),
                                           node(1, {2, 3}, 64 * kMiB, {20, 10, 20}),
                                           node(2, {4}, 64 * kMiB, {30, 20, 10})});
    const auto some = static_cast<std::size_t>(count);
    all.nodes.resize(some);
    all.allowed.resize(some);
    for (platform::NodeRecord& one : all.nodes) one.distances.resize(some);
    all.possible = {0, 1, 2};
    script() = all;
    for (int id = 0; id < 3; ++id) {
      if (id >= count) {
        Machine::memory().rooms.erase(id);
      } else if (!Machine::memory().rooms.contains(id)) {
        Machine::memory().rooms[id] = {64 * kMiB, 0};
      }
    }
  }
};

}  // namespace numapool
