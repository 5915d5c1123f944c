// Decides from looks at the system whether there is pressure, and how much memory to release.
#include "pressure/pressure_judge.hpp"

#include <algorithm>

namespace numapool {
namespace {

using platform::PressureLook;
using platform::PressureSource;

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kStirs = 300 * kMs;     // growth this recent: look often
constexpr std::uint64_t kLookAll = 50 * kMs;    // looks at everything, while memory use changes
constexpr std::uint64_t kLookIdle = 500 * kMs;  // looks at everything, while memory use is calm
constexpr std::uint32_t kQuick = 10;            // ms between looks while memory use changes
constexpr std::uint32_t kAsleep = 1000;         // ms if a stall ends the wait
constexpr std::uint64_t kLongestInterval = 16;  // cooldowns between equal demands
constexpr std::uint64_t kLargestStep = std::uint64_t{1} << 40;

constexpr int kCgroupKey = -2;  // in_deficit_ only

// For less than 2^57 bytes.
std::uint64_t share(std::uint64_t total, std::uint64_t percent, std::uint64_t least,
                    std::uint64_t most) noexcept {
  return std::clamp(total * percent / 100, std::min(least, total / 4), most);
}

}  // namespace

PressureJudge::PressureJudge(const PressurePolicy& policy) noexcept
    : policy_(policy), stall_(policy.window_us) {}

bool PressureJudge::stalled() const noexcept {
  return stall_.some_us() >= policy_.moderate_some_us ||
         stall_.full_us() >= policy_.critical_full_us;
}

bool PressureJudge::note_stall(const platform::StallTotals& totals, std::uint64_t now_ns) noexcept {
  stall_.add(totals, now_ns);
  return stalled() && stall_.grew_since(now_ns);
}

PressureLevel PressureJudge::level() const noexcept {
  PressureLevel highest = PressureLevel::kNone;
  for (const auto& [key, cause] : causes_) highest = std::max(highest, cause.last.level);
  return highest;
}

PressureJudge::Deficit PressureJudge::deficit(std::uint64_t available, std::uint64_t margin,
                                              bool in_deficit) const noexcept {
  const auto scaled = [margin](double factor) {
    return static_cast<std::uint64_t>(static_cast<double>(margin) * factor);
  };
  const std::uint64_t wanted = in_deficit ? scaled(1 + policy_.hysteresis) : margin;
  if (available >= wanted) return {};
  return {wanted - available, available < scaled(policy_.critical_share)};
}

// The balloon's demand is the amount it takes, until as much is released or it stops growing. If
// the host's target is known, the demand is all of it at once.
void PressureJudge::follow_balloon(const PressureLook& look, std::uint64_t now_ns) noexcept {
  if (!look.balloon_bytes) return;
  const std::uint64_t now = *look.balloon_bytes;
  const std::uint64_t before = balloon_bytes_.value_or(now);
  const std::uint64_t target = look.balloon_target_bytes.value_or(0);
  const std::uint64_t grown = now > before ? now - before : 0;
  balloon_bytes_ = now;
  const std::uint64_t owed_before = balloon_owed_;
  const std::uint64_t paid = std::min(balloon_credit_, grown);
  balloon_credit_ = target > now ? balloon_credit_ - paid : 0;
  balloon_owed_ += grown - paid;
  if (target > now && target - now > balloon_credit_)
    balloon_owed_ = std::max(balloon_owed_, target - now - balloon_credit_);
  balloon_ahead_ = target > now;
  if (balloon_owed_ > owed_before) {
    if (owed_before == 0) balloon_began_ns_ = now_ns;
    balloon_grew_ns_ = now_ns;
    return;
  }
  if (now < before) balloon_owed_ -= std::min(balloon_owed_, before - now);
  if (!balloon_ahead_ && now_ns - balloon_grew_ns_ >= 2 * policy_.cooldown_ms * kMs)
    balloon_owed_ = 0;
}

std::vector<PressureEvent> PressureJudge::judge(const PressureLook& look, std::uint64_t now_ns) {
  std::vector<PressureEvent> out;
  if (look.stall) stall_.add(*look.stall, now_ns);
  looked_ns_ = now_ns;
  tight_ = false;
  follow_balloon(look, now_ns);
  judge_nodes(look, now_ns, out);
  judge_machine(look, now_ns, out);
  relieve(now_ns, out);
  return out;
}

void PressureJudge::judge_nodes(const PressureLook& look, std::uint64_t now_ns,
                                std::vector<PressureEvent>& out) {
  if (look.nodes.size() < 2) return;  // a shortage on a single node is the machine's shortage
  for (const platform::NodeSupply& node : look.nodes) {
    const std::uint64_t margin = policy_.node_margin_bytes.value_or(
        share(node.supply.total_bytes, 1, 16 * kMiB, 256 * kMiB));
    bool& known = in_deficit_[node.node_id];
    const Deficit found = deficit(node.supply.available_bytes, margin, known);
    known = found.bytes != 0;
    if (!known) continue;
    PressureEvent event;
    event.level = found.critical ? PressureLevel::kCritical : PressureLevel::kModerate;
    event.demand_bytes = found.bytes;
    event.node_id = node.node_id;
    event.source = PressureSource::kNodes;
    event.origin_ns = now_ns;
    demand(node.node_id, event, false, now_ns, out);
  }
}

void PressureJudge::judge_machine(const PressureLook& look, std::uint64_t now_ns,
                                  std::vector<PressureEvent>& out) {
  PressureEvent event;
  event.origin_ns = now_ns;
  bool critical = look.near_the_killer || stall_.full_us() >= policy_.critical_full_us;
  const auto ask = [&](PressureSource source, std::uint64_t bytes, std::uint64_t began_ns) {
    if (bytes <= event.demand_bytes) return;
    event.demand_bytes = bytes;
    event.source = source;
    event.origin_ns = began_ns;
  };
  if (look.machine) {
    const std::uint64_t margin =
        policy_.margin_bytes.value_or(share(look.machine->total_bytes, 5, 32 * kMiB, 1024 * kMiB));
    bool& known = in_deficit_[kMachine];
    const Deficit found = deficit(look.machine->available_bytes, margin, known);
    known = found.bytes != 0;
    critical = critical || found.critical;
    tight_ = look.machine->available_bytes < 2 * margin;
    ask(PressureSource::kMachine, found.bytes, now_ns);
  }
  if (look.cgroup) {
    const platform::CgroupSupply& group = *look.cgroup;
    const std::uint64_t margin =
        policy_.cgroup_margin_bytes.value_or(share(group.limit_bytes, 5, 16 * kMiB, 1024 * kMiB));
    const bool over = group.needed_bytes > group.limit_bytes;
    const std::uint64_t room = over ? 0 : group.limit_bytes - group.needed_bytes;
    bool& known = in_deficit_[kCgroupKey];
    Deficit found = deficit(room, margin, known);
    if (over) found.bytes += group.needed_bytes - group.limit_bytes;
    known = found.bytes != 0;
    critical = critical || found.critical;
    tight_ = tight_ || room < 2 * margin;
    ask(PressureSource::kCgroup, found.bytes, now_ns);
  }
  ask(PressureSource::kBalloon, balloon_owed_, balloon_began_ns_);
  event.stall_us = stall_.some_us();
  const bool measured = event.demand_bytes != 0;
  const bool stalls = stalled() && stall_.grew_since(now_ns > kStirs ? now_ns - kStirs : 0);
  if (!measured && !stalls && look.notices == 0) return;
  if (stalls && stall_.began_ns() != 0)
    event.origin_ns = std::min(event.origin_ns, stall_.began_ns());
  if (!measured) {
    if (stalls && look.stall) {
      event.source = look.stall->source;
    } else {
      for (int i = 0; i < platform::kPressureSources; ++i) {
        if ((look.notices >> i & 1) != 0) event.source = static_cast<PressureSource>(i);
      }
    }
    const auto known = causes_.find(kMachine);
    event.demand_bytes = known == causes_.end() || known->second.next_step == 0
                             ? policy_.step_bytes
                             : known->second.next_step;
    // More than a quarter of the machine counts as more than a step.
    if (look.machine)
      event.demand_bytes =
          std::min(event.demand_bytes, std::max(look.machine->total_bytes / 4, policy_.step_bytes));
  }
  event.level = critical ? PressureLevel::kCritical : PressureLevel::kModerate;
  demand(kMachine, event, !measured, now_ns, out);
}

// A demand is sent at once if it is new, grew by half or became more severe. The same demand is
// repeated after a delay, which doubles each time. For stalls, the amount doubles instead.
void PressureJudge::demand(int key, PressureEvent event, bool is_step, std::uint64_t now_ns,
                           std::vector<PressureEvent>& out) {
  const std::uint64_t cooldown = policy_.cooldown_ms * kMs;
  const auto [at, is_new] = causes_.try_emplace(key);
  Cause& cause = at->second;
  if (is_new) {
    cause.origin_ns = event.origin_ns;
    cause.interval_ns = cooldown;
  }
  event.origin_ns = cause.origin_ns;
  cause.seen_ns = now_ns;
  const std::uint64_t waited = now_ns - cause.demand_ns;
  const bool worse = event.level > cause.last.level;
  const bool grew = !is_step && waited >= cooldown / 4 &&
                    event.demand_bytes > cause.last.demand_bytes + cause.last.demand_bytes / 2;
  if (!is_new && !worse && !grew && waited < cause.interval_ns) return;
  if (is_step) {
    cause.next_step = std::min(event.demand_bytes * 2, kLargestStep);
    cause.interval_ns = cooldown;
  } else if (is_new || worse || grew) {
    cause.interval_ns = cooldown;
  } else {
    cause.interval_ns = std::min(cause.interval_ns * 2, kLongestInterval * cooldown);
  }
  cause.demand_ns = now_ns;
  cause.last = event;
  out.push_back(event);
}

void PressureJudge::relieve(std::uint64_t now_ns, std::vector<PressureEvent>& out) {
  for (auto at = causes_.begin(); at != causes_.end();) {
    if (now_ns - at->second.seen_ns < policy_.relief_ms * kMs) {
      ++at;
      continue;
    }
    PressureEvent over = at->second.last;
    over.level = PressureLevel::kNone;
    over.demand_bytes = 0;
    over.trimmed_bytes = 0;
    over.stall_us = stall_.some_us();
    out.push_back(over);
    at = causes_.erase(at);
  }
}

void PressureJudge::released(std::uint64_t bytes) noexcept {
  // Memory released ahead of the balloon is not asked for again when the balloon takes it.
  if (balloon_ahead_) balloon_credit_ += std::min(balloon_owed_, bytes);
  balloon_owed_ -= std::min(balloon_owed_, bytes);
}

PressureJudge::Next PressureJudge::next(bool stall_wakes, std::uint64_t now_ns) const noexcept {
  const std::uint64_t recently = now_ns > kStirs ? now_ns - kStirs : 0;
  const bool stirs =
      stall_.grew_since(recently) || (balloon_grew_ns_ != 0 && balloon_grew_ns_ >= recently);
  const std::uint64_t since = now_ns - looked_ns_;
  if (stirs) return {kQuick, since + kQuick * kMs >= kLookAll};
  if (!causes_.empty() || tight_) return {policy_.poll_ms, true};
  if (stall_wakes) return {kAsleep, true};
  return {policy_.poll_ms, since + policy_.poll_ms * kMs >= kLookIdle};
}

}  // namespace numapool
