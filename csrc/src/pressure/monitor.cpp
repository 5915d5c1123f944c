// The monitor's thread: it waits, looks, decides, trims and notifies. It never calls Python.
#include "pressure/monitor_impl.hpp"

#include <algorithm>
#include <exception>
#include <new>
#include <system_error>
#include <utility>

#include "numapool/error.hpp"
#include "platform/thread.hpp"

namespace numapool {

std::unique_ptr<Monitor> Monitor::make(const PressurePolicy& policy, PressureSources sources) {
  return std::make_unique<MonitorImpl>(policy, std::move(sources));
}

MonitorImpl::~MonitorImpl() {
  control_mutex_.tell_no_more();
  stop();
  for (const Attached& one : attached_) one.pool->unpin();
  for (const auto& queue : queues_) queue->close();
}

void MonitorImpl::start() {
  const std::lock_guard control(control_mutex_);
  if (thread_.joinable()) return;
  platform::WatchRequest request;
  request.sources = wanted_.bits;
  request.service_watch = wanted_.service_watch;
  request.service_write = wanted_.service_write;
  request.window_us = static_cast<std::uint32_t>(policy_.window_us);
  // A trigger only wakes the thread: the judge decides by the totals, and must see the stall grow.
  request.wake_stall_us =
      static_cast<std::uint32_t>(std::max<std::uint64_t>(policy_.moderate_some_us / 7, 1000));
  platform::Result<std::unique_ptr<platform::PressureWatch>> opened =
      platform::open_pressure_watch(request);
  if (!opened) {
    const bool unsupported = opened.failure().cause == platform::Cause::kUnsupported;
    throw Error(unsupported ? ErrorKind::kUnsupported : ErrorKind::kSystem,
                "cannot watch memory pressure: " + describe(opened.failure()),
                opened.failure().code);
  }
  {
    const std::lock_guard guard(state_mutex_);
    watch_ = std::move(opened).value();
    rehearsals_.clear();
  }
  ends_ = false;
  try {
    const platform::NoSignals none;
    thread_ = std::thread([this] { run(); });
  } catch (const std::bad_alloc&) {
    drop_watch();
    throw;
  } catch (const std::system_error& error) {
    drop_watch();
    throw Error(ErrorKind::kSystem,
                "cannot start the monitor's thread: " + std::string(error.what()),
                error.code().value());
  }
  running_ = true;
}

// The thread belongs to the parent. Its watch is left alone, as the parent waits for the same
// descriptors.
void MonitorImpl::after_fork_in_child() noexcept {
  ran_in_parent_ = running_.exchange(false);
  ::new (static_cast<void*>(&thread_)) std::thread;
  level_ = rehearsed_ = PressureLevel::kNone;
}

// Closes what the watch opened if its thread cannot be started.
void MonitorImpl::drop_watch() noexcept {
  const std::lock_guard guard(state_mutex_);
  watch_.reset();
}

void MonitorImpl::stop() noexcept {
  const std::lock_guard control(control_mutex_);
  if (!thread_.joinable()) return;
  ends_ = true;
  watch_->ring();
  thread_.join();
  running_ = false;
  level_ = rehearsed_ = PressureLevel::kNone;
}

void MonitorImpl::attach(Pool& pool, std::uint64_t floor_bytes, double weight) {
  const std::lock_guard guard(trim_mutex_);
  for (Attached& one : attached_) {
    if (one.pool != &pool) continue;
    one.floor_bytes = floor_bytes;
    one.weight = weight;
    return;
  }
  attached_.push_back({&pool, floor_bytes, weight});
  pool.pin();
}

bool MonitorImpl::detach(Pool& pool) noexcept {
  {
    const std::lock_guard guard(trim_mutex_);
    const auto found = std::find_if(attached_.begin(), attached_.end(),
                                    [&](const Attached& one) { return one.pool == &pool; });
    if (found == attached_.end()) return false;
    attached_.erase(found);
  }
  pool.unpin();
  return true;
}

void MonitorImpl::subscribe(std::shared_ptr<EventQueue> queue) {
  const std::lock_guard guard(state_mutex_);
  queues_.push_back(std::move(queue));
}

bool MonitorImpl::rehearse(PressureLevel level, std::uint64_t demand_bytes,
                           std::optional<int> node_id) {
  PressureEvent event;
  event.level = level;
  event.demand_bytes = level == PressureLevel::kNone ? 0 : demand_bytes;
  event.node_id = node_id;
  event.source = platform::PressureSource::kRehearsal;
  event.origin_ns = platform::monotonic_ns();
  std::shared_ptr<platform::PressureWatch> watch;
  {
    const std::lock_guard guard(state_mutex_);
    if (!running()) return false;
    rehearsals_.push_back(event);
    watch = watch_;
  }
  watch->ring();
  return true;
}

std::vector<platform::SourceState> MonitorImpl::sources() const {
  std::shared_ptr<platform::PressureWatch> watch;
  {
    const std::lock_guard guard(state_mutex_);
    watch = watch_;
  }
  return watch ? watch->sources() : std::vector<platform::SourceState>{};
}

MonitorStatistics MonitorImpl::statistics() const {
  const std::lock_guard guard(state_mutex_);
  MonitorStatistics out = statistics_;
  for (const auto& queue : queues_) out.dropped_events += queue->dropped();
  return out;
}

std::optional<platform::PressureLook> MonitorImpl::last_look() const {
  const std::lock_guard guard(state_mutex_);
  return last_look_;
}

void MonitorImpl::run() noexcept {
  PressureJudge judge(policy_);
  bool first = true;
  while (!ends_.load(std::memory_order_relaxed)) {
    const std::uint64_t before_ns = platform::monotonic_ns();
    const PressureJudge::Next next = judge.next(watch_->stall_wakes(), before_ns);
    const bool noticed = first ? true : watch_->wait(next.wait_ms);
    first = false;
    if (ends_.load(std::memory_order_relaxed)) break;
    try {
      play_rehearsals();
      bool everything = noticed || next.everything;
      if (const auto stall = watch_->look_at_stall())
        everything = judge.note_stall(*stall, platform::monotonic_ns()) || everything;
      if (everything) look_and_act(judge);
    } catch (const std::exception&) {
      // There was no memory for a look, which happens under pressure. Trims retained memory first;
      // the next look tries again.
      trim(policy_.step_bytes, std::nullopt);
    }
  }
}

void MonitorImpl::look_and_act(PressureJudge& judge) {
  platform::PressureLook look = watch_->look();
  const NodesByUse nodes = nodes_by_use();
  std::vector<platform::NodeSupply> all_nodes;  // as the look is shown
  if (!nodes.by_name.empty()) {
    all_nodes = look.nodes;
    keep_default_supply(look, nodes.by_name, [this](int node) { return retains_on(node); });
  }
  std::vector<PressureEvent> events = judge.judge(look, platform::monotonic_ns());
  // Who is told of an event finds its level, the look that it came of, and what was trimmed.
  level_ = judge.level();
  {
    const std::lock_guard guard(state_mutex_);
    ++statistics_.looks;
    if (!all_nodes.empty()) look.nodes = std::move(all_nodes);
    last_look_ = std::move(look);
  }
  std::uint64_t done = 0;
  std::uint64_t for_nodes = 0;  // already part of the machine's demand
  for (PressureEvent& event : events) {
    std::uint64_t now = 0;
    if (event.level != PressureLevel::kNone) {
      if (event.node_id) {
        event.trimmed_bytes = now = trim(event.demand_bytes, event.node_id);
        const auto& others = nodes.by_name;
        if (std::find(others.begin(), others.end(), *event.node_id) == others.end())
          for_nodes += now;
      } else {
        const std::uint64_t credit = std::min(for_nodes, event.demand_bytes);
        now = trim_for(event, event.demand_bytes - credit, nodes);
        event.trimmed_bytes = credit + now;
      }
    }
    done += now;
    count(event, now);
    post(event);
  }
  judge.released(done);
}

// The judge does not see them: a rehearsal's demand is not a real shortage.
void MonitorImpl::play_rehearsals() {
  std::vector<PressureEvent> played;
  {
    const std::lock_guard guard(state_mutex_);
    played.swap(rehearsals_);
  }
  for (PressureEvent& event : played) {
    event.trimmed_bytes = event.node_id ? trim(event.demand_bytes, event.node_id)
                                        : trim_for(event, event.demand_bytes, nodes_by_use());
    rehearsed_ = event.level;
    count(event, event.trimmed_bytes);
    post(event);
  }
}

bool MonitorImpl::retains_on(int node) noexcept {
  const std::lock_guard guard(trim_mutex_);
  return std::any_of(attached_.begin(), attached_.end(),
                     [node](const Attached& one) { return one.pool->retained_bytes(node) != 0; });
}

// Memory of a device does not help a machine that is short, so it is not trimmed then. A cgroup is
// charged for both kinds.
std::uint64_t MonitorImpl::trim_for(const PressureEvent& event, std::uint64_t wanted,
                                    const NodesByUse& nodes) noexcept {
  using platform::PressureSource;
  const bool of_cgroup = event.source == PressureSource::kCgroup ||
                         event.source == PressureSource::kCgroupStall ||
                         event.source == PressureSource::kCgroupNotice;
  if (nodes.by_name.empty() || of_cgroup) return trim(wanted, std::nullopt);
  std::uint64_t freed = 0;
  for (const int node : nodes.defaults) {
    if (freed < wanted) freed += trim(wanted - freed, node);
  }
  return freed;
}

// Each pool gives according to its weight; the others make up for pools that have too little.
std::uint64_t MonitorImpl::trim(std::uint64_t wanted, std::optional<int> node) noexcept {
  if (wanted == 0) return 0;
  drop_closed_pools();
  const std::lock_guard guard(trim_mutex_);
  std::uint64_t freed = 0;
  const auto can_give = [&](const Attached& one) {
    const std::uint64_t all = one.pool->retained_bytes(std::nullopt);
    const std::uint64_t spare = all > one.floor_bytes ? all - one.floor_bytes : 0;
    return node ? std::min(spare, one.pool->retained_bytes(node)) : spare;
  };
  for (bool gave = true; gave && freed < wanted;) {
    gave = false;
    double weights = 0;
    for (const Attached& one : attached_) {
      if (can_give(one) != 0) weights += one.weight;
    }
    const std::uint64_t left = wanted - freed;
    for (const Attached& one : attached_) {
      const std::uint64_t most = can_give(one);
      if (most == 0 || freed >= wanted) continue;
      // Weights of 0 or infinity have no usable sum: each pool may then give everything.
      const double part = one.weight / weights;
      const std::uint64_t given = part >= 0 && part < 1
                                      ? static_cast<std::uint64_t>(static_cast<double>(left) * part)
                                      : left;
      const auto share = std::min(given < left ? given + 1 : left, wanted - freed);
      const std::uint64_t got = one.pool->trim_within(share, most, node);
      freed += got;
      gave = gave || got != 0;
    }
  }
  return freed;
}

void MonitorImpl::drop_closed_pools() noexcept {
  while (true) {
    Pool* closed = nullptr;
    {
      const std::lock_guard guard(trim_mutex_);
      const auto found = std::find_if(attached_.begin(), attached_.end(),
                                      [](const Attached& one) { return one.pool->closed(); });
      if (found == attached_.end()) return;
      closed = found->pool;
      attached_.erase(found);
    }
    closed->unpin();
  }
}

void MonitorImpl::count(const PressureEvent& event, std::uint64_t trimmed_bytes) noexcept {
  const std::lock_guard guard(state_mutex_);
  statistics_.trimmed_bytes += trimmed_bytes;
  ++statistics_.events[static_cast<std::size_t>(event.source)];
  if (event.trimmed_bytes == 0) return;
  const std::uint64_t now = platform::monotonic_ns();
  const std::uint64_t took_us = now > event.origin_ns ? (now - event.origin_ns) / 1000 : 0;
  const auto& bounds = MonitorStatistics::kBounds;
  const auto bucket = std::lower_bound(
      bounds.begin(), bounds.end(), took_us,
      [](std::uint32_t ms, std::uint64_t us) { return std::uint64_t{ms} * 1000 < us; });
  ++statistics_.reactions[static_cast<std::size_t>(bucket - bounds.begin())];
  statistics_.reaction_sum_us += took_us;
}

void MonitorImpl::post(const PressureEvent& event) noexcept {
  const std::lock_guard guard(state_mutex_);
  std::erase_if(queues_, [](const auto& queue) { return queue->closed(); });
  for (const auto& queue : queues_) queue->post(event);
}

}  // namespace numapool
