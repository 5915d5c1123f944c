// The memory pressure of the scripted machine: what the next looks see.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>

#include "platform/pressure.hpp"

namespace numapool::platform::fake {

// Guarded by its mutex: a test writes, the monitor's thread reads.
struct PressureScript {
  std::mutex mutex;
  std::condition_variable changed;
  PressureLook look;
  std::optional<Failure> refusal;  // why there is nothing to watch
  bool fails = false;              // a look finds no memory
  int fails_at = 0;                // the k-th look finds none
  int open_watches = 0;
  bool rung = false;
  int looks = 0;
};

[[nodiscard]] PressureScript& pressure_script();

}  // namespace numapool::platform::fake
