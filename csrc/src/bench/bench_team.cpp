// Starts, lines up and joins the threads of a measurement.
#include "bench/bench_team.hpp"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "numapool/error.hpp"
#include "platform/thread.hpp"

namespace numapool::bench {
namespace {

// Longer than it takes to wake the others: they wait for the moment with their eyes open.
constexpr auto kLead = std::chrono::microseconds(100);

enum Start : int { kWait, kGo, kGiveUp };

class Team {
 public:
  Team(std::size_t size, const Plan& plan, const Work& work)
      : plan_(plan), work_(work), line_(static_cast<std::ptrdiff_t>(size), LineUp{&begin_}) {}

  void start(Start how) noexcept {
    start_.store(how);
    start_.notify_all();
  }

  void run(std::size_t member, std::span<const int> cpu) noexcept {
    bool stayed = platform::prepare_worker(cpu) && !cpu.empty();
    start_.wait(kWait);
    if (start_.load() == kGiveUp) return;
    work_.prepare(member);
    for (std::uint32_t round = 0; round < plan_.rounds; ++round) {
      line_.arrive_and_wait();
      const Clock::time_point begin = begin_;
      stayed = stayed && platform::current_cpu() == cpu.front();
      while (Clock::now() < begin) continue;
      work_.round(member, round, begin + std::chrono::nanoseconds(plan_.round_ns));
      stayed = stayed && platform::current_cpu() == cpu.front();
    }
    if (!stayed) stayed_.store(false);
  }

  [[nodiscard]] bool stayed() const noexcept { return stayed_.load(); }

 private:
  struct LineUp {
    Clock::time_point* begin;
    void operator()() const noexcept { *begin = Clock::now() + kLead; }
  };

  const Plan plan_;
  const Work& work_;
  Clock::time_point begin_;  // written by the last to arrive, before anybody goes on
  std::barrier<LineUp> line_;
  std::atomic<int> start_{kWait};
  std::atomic<bool> stayed_{true};
};

}  // namespace

bool run_team(std::span<const int> cpus, const Plan& plan, const Work& work) {
  const std::size_t size = std::max<std::size_t>(cpus.size(), 1);
  Team team(size, plan, work);
  std::vector<std::thread> threads;
  threads.reserve(size);
  const auto join = [&threads] {
    for (std::thread& one : threads) one.join();
  };
  try {
    const platform::NoSignals none;
    for (std::size_t i = 0; i < size; ++i) {
      const std::span<const int> cpu = cpus.empty() ? cpus : cpus.subspan(i, 1);
      threads.emplace_back([&team, i, cpu] { team.run(i, cpu); });
    }
  } catch (const std::system_error& error) {  // RLIMIT_NPROC or the cgroup's pids
    team.start(kGiveUp);
    join();
    throw Error(ErrorKind::kSystem,
                "cannot start " + std::to_string(size) +
                    " threads to measure with: " + std::string(error.what()),
                error.code().value());
  } catch (...) {
    team.start(kGiveUp);
    join();
    throw;
  }
  team.start(kGo);
  join();
  return team.stayed();
}

}  // namespace numapool::bench
