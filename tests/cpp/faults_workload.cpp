// The steps of the random life, and the patterns that prove its bytes.
#include "faults_workload.hpp"

#include <array>
#include <chrono>
#include <cstring>
#include <new>
#include <thread>

#include "platform/fake/pressure_script.hpp"
#include "platform/fake/process_script.hpp"

namespace numapool {
namespace {

using platform::fake::pressure_script;

// A word that differs from page to page and from buffer to buffer.
std::uint64_t word_of(std::uint32_t pattern, std::size_t index) {
  return (std::uint64_t{pattern} << 32 | index) * 0x9E3779B97F4A7C15ULL;
}

}  // namespace

void Workload::prepare() {
  platform::fake::drop_live_mappings();
  platform::fake::reset_memory();
  memory().rooms[0] = {3 * kMiB, kMiB};
  memory().rooms[1] = {2 * kMiB, 2 * kMiB};
  memory().rooms[2] = {4 * kMiB, 0};
  memory().weights = {{0, 2}, {1, 1}, {2, 1}};
  memory().hugetlb = {{platform::fake::kHugePage, 4, 4}};
  memory().calls["unmap"] = 0;  // so that the count of it needs no memory
  auto& script = pressure_script();
  const std::lock_guard guard(script.mutex);
  script.look = {};
  script.refusal.reset();
  script.fails_at = 0;
  script.looks = 0;
  held_.clear();
  held_.reserve(32);  // so that what was lent is never lost for want of a place
  thrown_.clear();
  next_pattern_ = 1;
  out_of_memory_ = 0;
}

void Workload::run(std::uint32_t seed) {
  random_.seed(seed);
  attempt([&] {
    PoolOptions options;
    options.max_bytes = 64 * kMiB;
    options.core_dump = seed % 3 != 0;
    if (seed % 2 == 1) options.retain_bytes = 2 * kMiB;
    open(options);
  });
  attempt([&] { monitor_ = Monitor::make({}, {}); });
  attempt([&] {
    if (pool != nullptr && monitor_) monitor_->attach(*pool, 0, 1);
  });
  for (int i = 0; i < kSteps; ++i) {
    step();
    if (held_.size() > 10) let_go(pick(static_cast<std::uint32_t>(held_.size())));
  }
  for (const Held& one : held_) verify(one);
}

void Workload::end() {
  memory().failures.clear();
  memory().failures_at.clear();
  memory().before = nullptr;
  {
    auto& script = pressure_script();
    const std::lock_guard guard(script.mutex);
    script.refusal.reset();
    script.fails_at = 0;
  }
  while (!held_.empty()) let_go(0);
  if (ring_ != nullptr) std::exchange(ring_, nullptr)->drop();
  monitor_.reset();
  close();
}

void Workload::step() {
  switch (pick(16)) {
    case 0:
    case 1:
    case 2:
      return allocate_some();
    case 3:
      return interleave_some();
    case 4:
    case 5:
    case 6:
    case 7:
      return borrow_some();
    case 8:
      return migrate_some();
    case 9:
      return use_ring();
    case 10:
      return feel_pressure();
    case 11:
      if (pool != nullptr) pool->trim(pick(4) * kMiB, std::nullopt);
      return;
    case 12:
      if (pool == nullptr) return;
      return attempt([&] { pool->reserve(any_size(), any_node(), 0, kNoInterrupts, {}); });
    case 13:
      return fork_into_child();
    default:
      if (!held_.empty()) let_go(pick(static_cast<std::uint32_t>(held_.size())));
  }
}

void Workload::attempt(const std::function<void()>& use) {
  try {
    use();
  } catch (const std::bad_alloc&) {
    ++out_of_memory_;
  } catch (const Error& error) {
    thrown_.push_back({error.kind(), error.message(), error.code()});
  }
}

std::size_t Workload::any_size() {
  constexpr std::array<std::size_t, 8> kSizes{100,    4096,   5000,    9000,
                                              30'000, 70'000, 300'000, 1'100'000};
  return kSizes.at(pick(kSizes.size()));
}

void Workload::hold(Held&& held) {
  held.pattern = next_pattern_++;
  const Region region = held.region();
  auto* const words = static_cast<std::uint64_t*>(region.address);
  for (std::size_t i = 0; i < region.length / sizeof(std::uint64_t); i += 8)
    words[i] = word_of(held.pattern, i);
  held_.push_back(std::move(held));
}

void Workload::verify(const Held& held) {
  const Region region = held.region();
  const auto* const words = static_cast<const std::uint64_t*>(region.address);
  for (std::size_t i = 0; i < region.length / sizeof(std::uint64_t); i += 8)
    changed_bytes_ += words[i] == word_of(held.pattern, i) ? 0 : sizeof(std::uint64_t);
  checked_bytes_ += region.length / 8;
}

void Workload::let_go(std::size_t index) {
  Held held = std::move(held_.at(index));
  if (index + 1 != held_.size()) held_.at(index) = std::move(held_.back());
  held_.pop_back();
  verify(held);
  if (!held.allocation) give(held.lease);
}

void Workload::allocate_some() {
  AllocationRequest wish;
  wish.strict = pick(4) == 0;
  const int node = any_node();
  wish.size_bytes = any_size();
  wish.mlock = pick(8) == 0;
  wish.core_dump = pick(4) != 0;
  wish.populate = wish.strict || pick(8) != 0;
  if (pick(8) == 0) {
    wish.page.kind = PageRequest::Kind::kHugetlb;
    wish.page.hugetlb_bytes = platform::fake::kHugePage;
  }
  attempt([&] {
    const bool several = wish.size_bytes / 4096 % 4 == 2;
    wish.nodes = several ? NodeIds(std::vector<int>{0, 2}) : NodeIds(node);
    Held held;
    held.allocation = allocate(wish);
    if (wish.populate) hold(std::move(held));
  });
}

void Workload::interleave_some() {
  InterleaveRequest wish;
  wish.size_bytes = any_size();
  wish.strict = pick(3) == 0;
  wish.weighted = pick(2) == 0;
  wish.mlock = pick(8) == 0;
  attempt([&] {
    Held held;
    held.allocation = Allocator(topology()).allocate_interleaved(wish, kNoInterrupts);
    hold(std::move(held));
  });
}

void Workload::borrow_some() {
  const std::size_t bytes = any_size();
  const int node = any_node();
  const bool strict = pick(4) == 0;
  if (pool == nullptr) return;
  attempt([&] {
    Held held;
    held.lease = take(bytes, node, strict);
    hold(std::move(held));
  });
}

void Workload::migrate_some() {
  const std::uint32_t index = pick(16);
  const int node = any_node();
  if (index >= held_.size()) return;
  Held& held = held_[index];
  attempt([&] { static_cast<void>(migrate(held.region(), node, kNoInterrupts)); });
  verify(held);
  if (!held.allocation) held.lease.keeper->moved(held.lease.cookie);
}

void Workload::use_ring() {
  RingOptions options;
  options.block_bytes = any_size() / 8 + 1;
  options.count = 3;
  const int node = any_node();
  options.strict = pick(4) == 0;
  if (pool == nullptr) return;
  if (ring_ == nullptr) {
    attempt([&] {
      options.nodes = node;
      ring_ = Ring::open(*pool, options, kNoInterrupts, {});
    });
  } else if (pick(3) == 0) {
    std::exchange(ring_, nullptr)->drop();
  }
  if (ring_ == nullptr) return;
  Held held;
  if (ring_->try_acquire(held.lease)) hold(std::move(held));
}

// A monitor's whole life: what it trims in one look. It is stopped again, for the time of a look of
// its own accord is nobody's to know.
void Workload::feel_pressure() {
  const std::uint64_t lacking = (1 + pick(6)) * kMiB;
  if (!monitor_) return;
  auto& script = pressure_script();
  int before = 0;
  {
    const std::lock_guard guard(script.mutex);
    before = script.looks;
    script.look.machine = platform::Supply{512 * kMiB - lacking, 10240 * kMiB};
  }
  attempt([&] {
    monitor_->start();
    for (int i = 0; i < 300'000; ++i) {  // half a minute at most
      {
        const std::lock_guard guard(script.mutex);
        if (script.looks != before) break;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  });
  monitor_->stop();
  const std::lock_guard guard(script.mutex);
  CHECK((script.looks != before || !thrown_.empty() || out_of_memory_ != 0));
  script.look = {};
}

// Goes on as the child of a fork would.
void Workload::fork_into_child() {
  const auto& process = platform::fake::process_script();
  if (pool == nullptr || process.fork_handlers == 0) return;
  process.before_fork();
  process.in_child();
}

}  // namespace numapool
