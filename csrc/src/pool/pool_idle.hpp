// The thread that trims what a pool has not used for a while.
#pragma once

#include <cstdint>
#include <memory>
#include <thread>

#include "platform/locks.hpp"

namespace numapool {

class PoolImpl;

// Runs until it is destroyed, which joins it. Never holds its own lock while it trims.
class IdleThread {
 public:
  // nullptr if no thread can be started.
  [[nodiscard]] static std::unique_ptr<IdleThread> start(PoolImpl& pool,
                                                         std::uint32_t idle_ms) noexcept;
  ~IdleThread();
  IdleThread(const IdleThread&) = delete;
  IdleThread& operator=(const IdleThread&) = delete;

 private:
  IdleThread() = default;
  void run(PoolImpl& pool, std::uint32_t idle_ms);

  platform::Mutex mutex_{platform::LockRank::kIdleThread};
  platform::Condition wake_{platform::LockRank::kIdleThread};
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace numapool
