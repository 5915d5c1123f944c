// Threads that share a job piece by piece, and the wait for them.
#pragma once

#include <cstddef>
#include <span>

#include "numapool/buffer.hpp"

namespace numapool {

// A job of which any thread may take the next piece, several of them at once.
class SharedJob {
 public:
  // False if nothing is left to do.
  virtual bool do_piece() noexcept = 0;
  // Hands out no more pieces.
  virtual void stop() noexcept = 0;

 protected:
  ~SharedJob() = default;
};

// Has up to `count` threads on the CPUs do the job to its end. The calling thread waits, and calls
// `check` about every 50 ms; if that throws, the job is stopped, and the threads are waited for.
// Fewer threads do it where no more can be started (RLIMIT_NPROC, pids cgroup). False if none
// could; then nothing was done.
bool run_by_threads(SharedJob& job, std::size_t count, std::span<const int> cpus,
                    const InterruptCheck& check);

}  // namespace numapool
