// Every call of the platform fails with every errno that its manual names, at every position of a
// random life; then many at once.
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "failing_new.hpp"
#include "faults_workload.hpp"
#include "platform/fake/pressure_script.hpp"

namespace numapool {
namespace {

using platform::Cause;
using platform::Failure;

struct Answer {
  Cause cause;
  const char* call;
  int code;
};

// mmap(2), munmap(2), madvise(2), mlock(2), mbind(2), move_pages(2), open(2), read(2), as the Linux
// platform puts them into causes (platform/linux/kernel/system_call.hpp).
const std::map<std::string, std::vector<Answer>> kAnswers{
    {"map",
     {{Cause::kNoMemory, "mmap", ENOMEM},
      {Cause::kOther, "mmap", EAGAIN},
      {Cause::kInvalid, "mmap", EINVAL},
      {Cause::kRefused, "mmap", EPERM},
      {Cause::kOther, "mmap", ENFILE}}},
    {"unmap", {{Cause::kNoMemory, "munmap", ENOMEM}, {Cause::kInvalid, "munmap", EINVAL}}},
    {"discard",
     {{Cause::kInvalid, "madvise(MADV_DONTNEED)", EINVAL},
      {Cause::kNoMemory, "madvise(MADV_DONTNEED)", ENOMEM},
      {Cause::kOther, "madvise(MADV_DONTNEED)", EAGAIN}}},
    {"forbid_huge_pages",
     {{Cause::kInvalid, "madvise(MADV_NOHUGEPAGE)", EINVAL},
      {Cause::kNoMemory, "madvise(MADV_NOHUGEPAGE)", ENOMEM}}},
    {"lock",
     {{Cause::kNoMemory, "mlock", ENOMEM},
      {Cause::kRefused, "mlock", EPERM},
      {Cause::kOther, "mlock", EAGAIN},
      {Cause::kInvalid, "mlock", EINVAL},
      {Cause::kUnsupported, "mlock", ENOSYS}}},
    {"keep_out_of_dumps",
     {{Cause::kInvalid, "madvise(MADV_DONTDUMP)", EINVAL},
      {Cause::kNoMemory, "madvise(MADV_DONTDUMP)", ENOMEM},
      {Cause::kRefused, "madvise(MADV_DONTDUMP)", EPERM}}},
    {"populate",
     {{Cause::kNoMemory, "madvise(MADV_POPULATE_WRITE)", ENOMEM},
      {Cause::kOther, "madvise(MADV_POPULATE_WRITE)", EFAULT},
      {Cause::kOther, "madvise(MADV_POPULATE_WRITE)", EHWPOISON},
      {Cause::kRefused, "madvise(MADV_POPULATE_WRITE)", EPERM}}},
    {"set_policy",
     {{Cause::kNoMemory, "mbind", ENOMEM},
      {Cause::kInvalid, "mbind", EINVAL},
      {Cause::kPartial, "mbind", EIO},
      {Cause::kRefused, "mbind", EPERM},
      {Cause::kUnsupported, "mbind", ENOSYS},
      {Cause::kOther, "mbind", EFAULT}}},
    {"move_to_node",
     {{Cause::kRefused, "move_pages", EPERM},
      {Cause::kRefused, "move_pages", EACCES},
      {Cause::kUnsupported, "move_pages", ENOSYS},
      {Cause::kInvalid, "move_pages", EINVAL},
      {Cause::kOther, "move_pages", ENODEV},
      {Cause::kNoMemory, "move_pages", ENOMEM}}},
    {"residency", {{Cause::kRefused, "move_pages", EPERM}}},
    {"available",
     {{Cause::kOther, "open", ENOENT},
      {Cause::kRefused, "open", EACCES},
      {Cause::kOther, "open", EMFILE},
      {Cause::kPartial, "read", EIO}}},
    {"node_room",
     {{Cause::kOther, "open", ENOENT},
      {Cause::kRefused, "open", EACCES},
      {Cause::kOther, "open", ENFILE}}},
    {"spare_bytes", {{Cause::kOther, "open", ENOENT}, {Cause::kUnsupported, "open", EACCES}}},
    {"interleave_weights",
     {{Cause::kUnsupported, "open", ENOENT},
      {Cause::kRefused, "open", EACCES},
      {Cause::kOther, "open", EMFILE}}},
};

Failure failure_of(const Answer& answer) {
  return {answer.cause, answer.call, answer.code, "on purpose"};
}

bool is_among_ours(ErrorKind kind) {
  return kind == ErrorKind::kNoMemory || kind == ErrorKind::kSystem ||
         kind == ErrorKind::kPlacement || kind == ErrorKind::kUnsupported ||
         kind == ErrorKind::kExhausted;
}

// What an error carries a code of, its words name: the call, the object and the system's reason.
void check_words(const Workload& life, const Failure& failure) {
  for (const Workload::Thrown& one : life.thrown()) {
    CAPTURE(one.words);
    CHECK(is_among_ours(one.kind));
    CHECK_FALSE(one.words.empty());
    if (one.code != 0)
      CHECK(one.words.find(std::system_category().message(one.code)) != std::string::npos);
    if (one.words.find("on purpose") != std::string::npos)
      CHECK(one.words.find(describe(failure)) != std::string::npos);
    if (one.kind == ErrorKind::kSystem) CHECK(one.code != 0);
  }
}

void check_end(Workload& life, bool may_leave_address_space) {
  life.end();
  CHECK(life.changed_bytes() == 0);
  CHECK_FALSE(life.memory().allocated_under_bind);
  CHECK(life.memory().misuses == 0);
  CHECK(platform::fake::resident_pages() == 0);
  if (!may_leave_address_space) CHECK(platform::fake::live_mappings() == 0);
  CHECK(platform::fake::pressure_script().open_watches == 0);
}

// NUMAPOOL_FAULT_SEEDS=3: every position of three lives. Unset, the short run: one life, and of
// each call with each errno one position in kShortStride, another one for each errno.
constexpr int kShortStride = 12;
std::uint32_t seeds() {
  const char* const text = std::getenv("NUMAPOOL_FAULT_SEEDS");
  return text == nullptr ? 0 : static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10));
}

}  // namespace

TEST_CASE_FIXTURE(Workload,
                  "the random life itself: nothing of it leaks, and much of it succeeds") {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    prepare();
    run(seed);
    check_end(*this, false);
  }
  CHECK(checked_bytes() > kMiB);
}

TEST_CASE_FIXTURE(Workload, "in a random life every call fails once, at every position" * slow()) {
  std::uint64_t faults = 0;
  std::uint64_t told = 0;
  const int stride = seeds() == 0 ? kShortStride : 1;
  int nth = 0;
  for (std::uint32_t seed = 1; seed <= std::max(seeds(), 1U); ++seed) {
    for (const auto& [call, answers] : kAnswers) {
      for (const Answer& answer : answers) {
        for (int k = 1 + nth++ % stride;; k += stride) {
          CAPTURE(seed);
          CAPTURE(call);
          CAPTURE(answer.code);
          CAPTURE(k);
          prepare();
          memory().failures_at[call][k] = failure_of(answer);
          run(seed);
          const bool reached = memory().calls[call] >= k;
          check_words(*this, failure_of(answer));
          check_end(*this, call == "unmap" && reached);
          if (!reached) {
            CHECK((seed > 1 || memory().calls[call] > 0));  // the first life makes every call
            break;
          }
          ++faults;
          for (const Thrown& one : thrown())
            told += one.words.find("on purpose") != std::string::npos;
        }
      }
    }
  }
  CHECK(told > 0);
  MESSAGE("faults injected: " << faults << ", of which errors told: " << told
                              << ", bytes of live buffers checked: " << checked_bytes());
}

TEST_CASE_FIXTURE(Workload, "in a random life the monitor finds nothing to watch, or no memory") {
  const Answer refusals[] = {{Cause::kUnsupported, "open", ENOENT},
                             {Cause::kRefused, "open", EACCES},
                             {Cause::kOther, "pipe", EMFILE},
                             {Cause::kNoMemory, "pipe", ENOMEM}};
  for (const Answer& answer : refusals) {
    prepare();
    platform::fake::pressure_script().refusal = failure_of(answer);
    run(1);
    CHECK_FALSE(thrown().empty());
    check_words(*this, failure_of(answer));
    check_end(*this, false);
  }
  for (int k = 1; k < 1000; ++k) {
    CAPTURE(k);
    prepare();
    platform::fake::pressure_script().fails_at = k;
    run(1);
    const bool reached = platform::fake::pressure_script().looks >= k;
    check_end(*this, false);
    if (!reached) break;
  }
}

TEST_CASE_FIXTURE(Workload,
                  "in a random life one call in twenty fails, and words find no memory" * slow()) {
  std::uint64_t faults = 0;
  for (std::uint32_t seed = 1; seed <= 50 * std::max(seeds(), 1U); ++seed) {
    CAPTURE(seed);
    prepare();
    std::mt19937 random(seed);
    bool kept = false;
    memory().before = [&](platform::fake::MemoryScript& script, std::string_view call, int count) {
      const auto found = kAnswers.find(std::string(call));
      // Where neither unmapping nor discarding works, nothing does: one of them is left to work.
      const bool last_resort = call == "discard" && std::exchange(kept, false);
      if (found == kAnswers.end() || last_resort || random() % 20 != 0) return;
      kept = call == "unmap";
      ++faults;
      // Where the platform may throw: wherever a failure is put into words.
      if (random() % 4 == 0 && call != "residency") throw std::bad_alloc();
      const auto& answers = found->second;
      script.failures_at[found->first][count] = failure_of(answers[random() % answers.size()]);
    };
    run(seed);
    for (const Thrown& one : thrown()) CHECK(is_among_ours(one.kind));
    check_end(*this, true);
  }
  MESSAGE("faults injected: " << faults);
}

TEST_CASE_FIXTURE(Workload,
                  "of a random life the k-th allocation of the program's own fails" * slow()) {
  int k = 1;
  for (bool reached = true; reached; k += seeds() == 0 ? 31 : 1) {
    CAPTURE(k);
    prepare();
    {
      const FailingNew failing(k);
      try {
        run(2);
      } catch (const std::bad_alloc&) {  // of the life itself: what it holds it lets go
      }
      reached = failing.failed();
    }
    check_end(*this, false);
  }
  CHECK(k > 1000);
}

TEST_CASE_FIXTURE(Scripted, "a machine whose nodes cannot be read says so") {
  for (const Answer& answer :
       {Answer{Cause::kRefused, "open", EACCES}, Answer{Cause::kOther, "open", EMFILE},
        Answer{Cause::kNoMemory, "open", ENOMEM}, Answer{Cause::kOther, "open", ENOENT},
        Answer{Cause::kUnintelligible, "sys/devices/system/node/online", 0}}) {
    platform::fake::topology_failure() = failure_of(answer);
    const auto [kind, words] = error_of([] { return Topology::detect(); });
    CHECK(words.find("on purpose") != std::string::npos);
    CHECK(words.find(answer.call) != std::string::npos);
  }
}

}  // namespace numapool
