// The memory pressure of the scripted machine: what the next looks see.
#pragma once

#include <condition_variable>
#include <mutex>

#include "platform/pressure.hpp"

namespace numapool::platform::fake {

// Guarded by its mutex: a test writes, the monitor's thread reads.
struct PressureScript {
  std::mutex mutex;
  std::condition_variable changed;
  PressureLook look;
  bool refuses = false;  // there is nothing to watch
  bool fails = false;    // a look finds no memory
  bool rung = false;
  int looks = 0;
};

[[nodiscard]] PressureScript& pressure_script();

}  // namespace numapool::platform::fake
