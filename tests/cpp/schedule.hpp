// Deterministic schedules: threads that run one at a time, and change only where they say.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace numapool {

// Every word of `length` letters out of `letters`.
template <class Visit>
void each_word(std::size_t length, unsigned letters, const Visit& visit) {
  std::vector<unsigned> word(length, 0);
  while (true) {
    visit(word);
    std::size_t at = 0;
    while (at < length && ++word[at] == letters) word[at++] = 0;
    if (at == length) return;
  }
}

// Runs a few actors as threads of which one is awake. Whenever it comes to a turning point, the
// schedule says who goes on. The same choices make the same run.
class Schedule {
 public:
  // `choices[i]` modulo the actors that still run is who goes on at the i-th turning point; after
  // the last choice nobody is interrupted any more.
  explicit Schedule(std::vector<unsigned> choices) : choices_(std::move(choices)) {}

  void add(std::function<void()> actor) { actors_.push_back(std::move(actor)); }

  // To the end of all. Exceptions of actors are their own: none may leave one.
  void run() {
    ended_.assign(actors_.size(), false);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < actors_.size(); ++i) threads.emplace_back([this, i] { play(i); });
    for (std::thread& thread : threads) thread.join();
  }

  // A turning point: of an actor that the schedule may interrupt. Whoever holds a lock that another
  // actor may want must not come here.
  void turn() {
    if (current_ == kNobody) return;
    std::unique_lock lock(mutex_);
    const std::size_t self = current_;
    pass_on();
    wait_for(self, lock);
  }
  [[nodiscard]] std::size_t turns() const noexcept { return turns_; }

 private:
  static constexpr std::size_t kNobody = ~std::size_t{0};

  void play(std::size_t self) {
    {
      std::unique_lock lock(mutex_);
      wait_for(self, lock);
    }
    actors_[self]();
    const std::lock_guard lock(mutex_);
    ended_[self] = true;
    current_ = kNobody;
    pass_on();
  }
  // With mutex_ held: picks who is awake next.
  void pass_on() {
    std::vector<std::size_t> left;
    for (std::size_t i = 0; i < ended_.size(); ++i) {
      if (!ended_[i]) left.push_back(i);
    }
    if (left.empty()) return;
    if (next_ < choices_.size()) {
      awake_ = left[choices_[next_++] % left.size()];
    } else if (ended_[awake_]) {
      awake_ = left.front();
    }
    ++turns_;
    changed_.notify_all();
  }
  void wait_for(std::size_t self, std::unique_lock<std::mutex>& lock) {
    changed_.wait(lock, [&] { return awake_ == self; });
    current_ = self;
  }

  std::vector<unsigned> choices_;
  std::vector<std::function<void()>> actors_;
  std::vector<bool> ended_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t awake_ = 0;
  std::size_t current_ = kNobody;
  std::size_t next_ = 0;
  std::size_t turns_ = 0;
};

}  // namespace numapool
