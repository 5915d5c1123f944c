// The thread that trims what a pool has not used for a while.
#include "pool/pool_idle.hpp"

#include <algorithm>
#include <chrono>
#include <exception>

#include "platform/thread.hpp"
#include "pool/pool_impl.hpp"

namespace numapool {

std::unique_ptr<IdleThread> IdleThread::start(PoolImpl& pool, std::uint32_t idle_ms) noexcept {
  try {
    std::unique_ptr<IdleThread> idle(new IdleThread);
    const platform::NoSignals none;
    idle->thread_ = std::thread([raw = idle.get(), &pool, idle_ms] { raw->run(pool, idle_ms); });
    return idle;
  } catch (const std::exception&) {
    return nullptr;
  }
}

IdleThread::~IdleThread() {
  {
    const std::lock_guard guard(mutex_);
    ends_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// Four looks in a period: a block goes at most a quarter of it late.
void IdleThread::run(PoolImpl& pool, std::uint32_t idle_ms) {
  const std::chrono::milliseconds period(std::max<std::uint32_t>(idle_ms / 4, 5));
  std::unique_lock<std::mutex> lock(mutex_);
  while (!wake_.wait_for(lock, period, [this] { return ends_; })) {
    lock.unlock();
    pool.trim_idle();
    lock.lock();
  }
}

}  // namespace numapool
