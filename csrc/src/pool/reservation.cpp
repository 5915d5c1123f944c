// Filling a pool in the background: a thread of ours adds block after block.
#include "numapool/reservation.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "memory/populate.hpp"
#include "numapool/current_topology.hpp"
#include "numapool/topology.hpp"
#include "platform/thread.hpp"

namespace numapool {
namespace {

constexpr std::chrono::milliseconds kEndCheck{50};

std::vector<int> reserving_cpus(const NodeIds& nodes) {
  const SharedTopology topology = topology_for(nodes.ids().front());
  const Node* const found = topology->find(nodes.ids().front());
  return found == nullptr ? std::vector<int>{} : found->cpus;
}

}  // namespace

Reservation::Reservation(Pool& pool, std::size_t size_bytes, std::uint64_t count, NodeIds nodes)
    : pool_(pool),
      size_bytes_(size_bytes),
      count_(count),
      nodes_(std::move(nodes)),
      pressed_at_start_(pool.times_pressed()) {
  pool_.pin();
  mutex_.tell_of_forks(*this);
}

// Its own thread may be the last that holds it.
Reservation::~Reservation() {
  mutex_.tell_no_more();
  if (thread_ != nullptr && thread_->get_id() == std::this_thread::get_id()) {
    thread_->detach();
  } else if (thread_ != nullptr) {
    thread_->join();
  }
  if (!over_) pool_.unpin();  // it never ran
}

std::shared_ptr<Reservation> Reservation::prepare(Pool& pool, std::size_t size_bytes,
                                                  std::uint64_t count, const NodeIds& nodes) {
  NodeIds chosen = pool.nodes_to_reserve(size_bytes, nodes);
  return std::shared_ptr<Reservation>(new Reservation(pool, size_bytes, count, std::move(chosen)));
}

std::shared_ptr<Reservation> Reservation::start(Pool& pool, std::size_t size_bytes,
                                                std::uint64_t count, const NodeIds& nodes) {
  std::shared_ptr<Reservation> made = prepare(pool, size_bytes, count, nodes);
  std::vector<int> cpus = reserving_cpus(made->nodes_);
  try {
    const platform::NoSignals none;
    const std::lock_guard guard(made->mutex_);
    made->thread_ =
        std::make_unique<std::thread>([itself = made, cpus = std::move(cpus)]() mutable {
          platform::prepare_worker(cpus);
          itself->run();
          itself.reset();
        });
  } catch (const std::system_error& error) {
    throw Error(ErrorKind::kSystem,
                "cannot reserve in the background: no thread can be started (a limit of processes, "
                "RLIMIT_NPROC or pids.max). Reserve without background=True",
                error.code().value());
  }
  return made;
}

bool Reservation::must_end() const noexcept {
  return cancel_.load(std::memory_order_relaxed) || pool_.closed() ||
         pool_.times_pressed() != pressed_at_start_;
}

// Adds blocks until all are there, or it is to end. Returns what failed.
std::optional<Error> Reservation::add_all() noexcept {
  try {
    const auto check = [this] {
      if (must_end()) throw Error(ErrorKind::kInterrupted, "");
    };
    const auto degraded = [this](const Degradation& one) {
      const std::lock_guard guard(mutex_);
      degradations_.push_back(one);
    };
    try {
      const PopulateMeter meter(populated_);
      while (added_ < count_ && !must_end()) {
        const std::uint64_t more = pool_.reserve(size_bytes_, nodes_, added_, check, degraded);
        const std::lock_guard guard(mutex_);
        added_ += more;
        populated_ = 0;
      }
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInterrupted) return error;
    }
    if (added_ >= count_ || cancel_) return std::nullopt;
    if (pool_.closed()) {
      return Error(ErrorKind::kClosed, "the pool was closed after " + std::to_string(added_) +
                                           " of " + std::to_string(count_) +
                                           " blocks were reserved");
    }
    return Error(ErrorKind::kNoMemory,
                 "memory is under pressure: the monitor trimmed the pool after " +
                     std::to_string(added_) + " of " + std::to_string(count_) +
                     " blocks were reserved. Reserve the rest when there is room");
  } catch (const std::bad_alloc&) {
    return Error(ErrorKind::kNoMemory, {});
  }
}

void Reservation::run() noexcept {
  std::optional<Error> failed = add_all();
  pool_.unpin();
  const std::lock_guard guard(mutex_);
  error_ = std::move(failed);
  populated_ = 0;
  over_ = true;
  end_.notify_all();
}

std::uint64_t Reservation::added() const noexcept { return added_; }

std::uint64_t Reservation::done_bytes() const noexcept {
  const std::lock_guard guard(mutex_);
  const std::uint64_t blocks = std::min(added_.load(), count_);
  // A slab is more than one block, and its blocks may be larger than was asked for.
  const std::uint64_t part = std::min<std::uint64_t>(populated_, size_bytes_);
  return blocks * size_bytes_ + (blocks < count_ ? part : 0);
}

bool Reservation::over() const noexcept {
  const std::lock_guard guard(mutex_);
  return over_;
}

bool Reservation::cancelled() const noexcept {
  const std::lock_guard guard(mutex_);
  return over_ && !error_ && added_ < count_;
}

void Reservation::cancel() noexcept { cancel_ = true; }

bool Reservation::wait(std::optional<std::uint64_t> most_ms, const InterruptCheck& check) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    std::chrono::milliseconds slice = kEndCheck;
    if (most_ms) {
      const auto passed =
          std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
      const auto gone = static_cast<std::uint64_t>(passed.count());
      if (!over_ && gone >= *most_ms) return false;
      slice = std::min(slice, std::chrono::milliseconds(*most_ms - std::min(gone, *most_ms)));
    }
    if (end_.wait_for(lock, slice, [this] { return over_; })) return true;
    lock.unlock();
    check();
    lock.lock();
  }
}

std::optional<Error> Reservation::error() const {
  const std::lock_guard guard(mutex_);
  return error_;
}

std::vector<Degradation> Reservation::take_degradations() {
  const std::lock_guard guard(mutex_);
  return std::exchange(degradations_, {});
}

// The thread is the parent's, and so is what it was about to add.
void Reservation::after_fork_in_child() noexcept {
  static_cast<void>(thread_.release());
  over_ = true;
}

}  // namespace numapool
