// A random life of allocators, pools, rings and monitors on the scripted machine, in which every
// step may fail and every live byte is known.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "numapool/pressure.hpp"
#include "numapool/ring.hpp"
#include "pools.hpp"

namespace numapool {

// The same seed makes the same steps. A step that fails is survived, and what it threw is noted.
class Workload : public Pools {
 public:
  static constexpr int kSteps = 70;

  Workload() = default;
  // Forgets everything, the script included.
  void prepare();
  void run(std::uint32_t seed);
  // Everything is let go, with no failure in the way any more.
  void end();

  // What came out of the failed steps: the kind and the words.
  struct Thrown {
    ErrorKind kind;
    std::string words;
    int code;
  };
  [[nodiscard]] const std::vector<Thrown>& thrown() const noexcept { return thrown_; }
  [[nodiscard]] int out_of_memory() const noexcept { return out_of_memory_; }
  // Bytes of live buffers that were not what was written to them.
  [[nodiscard]] std::uint64_t changed_bytes() const noexcept { return changed_bytes_; }
  [[nodiscard]] std::uint64_t checked_bytes() const noexcept { return checked_bytes_; }

 private:
  struct Held {
    std::optional<Allocation> allocation;
    Lease lease;
    std::uint32_t pattern = 0;
    [[nodiscard]] Region region() const {
      return allocation ? allocation->block.mapping.region() : lease.region;
    }
  };

  void step();
  void attempt(const std::function<void()>& use);
  void hold(Held&& held);
  void verify(const Held& held);
  void let_go(std::size_t index);
  void allocate_some();
  void interleave_some();
  void borrow_some();
  void migrate_some();
  void use_ring();
  void feel_pressure();
  void fork_into_child();
  [[nodiscard]] std::uint32_t pick(std::uint32_t below) {
    return static_cast<std::uint32_t>(random_() % below);
  }
  [[nodiscard]] int any_node() { return static_cast<int>(pick(3)); }
  [[nodiscard]] std::size_t any_size();

  std::mt19937 random_;
  std::vector<Held> held_;
  std::vector<Thrown> thrown_;
  Ring* ring_ = nullptr;
  std::unique_ptr<Monitor> monitor_;
  std::uint32_t next_pattern_ = 1;
  int out_of_memory_ = 0;
  std::uint64_t changed_bytes_ = 0;
  std::uint64_t checked_bytes_ = 0;
};

}  // namespace numapool
