// The scripted machine's memory pressure.
#include "platform/pressure.hpp"

#include <chrono>
#include <new>

#include "platform/fake/pressure_script.hpp"

namespace numapool::platform {
namespace {

class FakeWatch final : public PressureWatch {
 public:
  FakeWatch() {
    const std::lock_guard guard(script_.mutex);
    ++script_.open_watches;
  }
  ~FakeWatch() override {
    const std::lock_guard guard(script_.mutex);
    --script_.open_watches;
  }
  bool wait(std::uint32_t timeout_ms) noexcept override {
    std::unique_lock lock(script_.mutex);
    script_.changed.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                             [this] { return script_.rung; });
    script_.rung = false;
    return script_.look.notices != 0;
  }
  void ring() noexcept override {
    {
      const std::lock_guard guard(script_.mutex);
      script_.rung = true;
    }
    script_.changed.notify_all();
  }
  PressureLook look() override {
    const std::lock_guard guard(script_.mutex);
    ++script_.looks;
    if (script_.fails || script_.looks == script_.fails_at) throw std::bad_alloc();
    PressureLook seen = script_.look;
    script_.look.notices = 0;
    script_.look.near_the_killer = false;
    return seen;
  }
  std::optional<StallTotals> look_at_stall() override {
    const std::lock_guard guard(script_.mutex);
    return script_.look.stall;
  }
  bool stall_wakes() const noexcept override { return false; }
  std::vector<SourceState> sources() const override {
    return {{PressureSource::kMachine, true, false, "", "scripted"}};
  }

 private:
  fake::PressureScript& script_ = fake::pressure_script();
};

}  // namespace

fake::PressureScript& fake::pressure_script() {
  static PressureScript script;
  return script;
}

Result<std::unique_ptr<PressureWatch>> open_pressure_watch(const WatchRequest&) {
  if (const auto& refusal = fake::pressure_script().refusal) return *refusal;
  return std::unique_ptr<PressureWatch>(std::make_unique<FakeWatch>());
}

std::uint64_t monotonic_ns() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

Bell::Bell() = default;
Bell::~Bell() = default;
void Bell::ring() const noexcept {}
void Bell::quiet() const noexcept {}

}  // namespace numapool::platform
