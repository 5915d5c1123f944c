// The CPUs of threads on scripted Windows machines: several groups, refusals, CPU sets.
#include "platform/thread_cpus.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>

#include "windows/scripted.hpp"

namespace numapool::platform::windows::testing {
namespace {

using Cpus = std::vector<int>;

// Groups of four CPUs and of two; threads 7 and 8 beside the calling one.
struct Groups : Machine {
  Groups() {
    groups = {4, 2};
    threads = {{0, group(0, 0b1111)}, {7, group(0, 0b1111)}, {8, group(0, 0b1111)}};
  }
};

}  // namespace

TEST_CASE("a thread has the CPUs of its group") {
  Groups machine;
  machine.threads[0] = group(1, 0b10);
  CHECK(thread_cpus(0).value() == Cpus{65});
}

TEST_CASE("a thread is put on CPUs of one group and back") {
  Groups machine;
  const Cpus before = thread_cpus(0).value();
  CHECK(set_thread_cpus(Cpus{64, 65}, 0));
  CHECK(thread_cpus(0).value() == Cpus{64, 65});
  CHECK(set_thread_cpus(before, 0));
  CHECK(thread_cpus(0).value() == Cpus{0, 1, 2, 3});
}

TEST_CASE("threads get the groups of a node in turn") {
  Groups machine;
  std::vector<Cpus> seen;
  for (int i = 0; i < 4; ++i) {
    CHECK(set_thread_cpus(Cpus{2, 3, 64}, 7));
    seen.push_back(thread_cpus(7).value());
  }
  CHECK(seen[0] != seen[1]);
  CHECK(seen[0] == seen[2]);
  CHECK(seen[1] == seen[3]);
  CHECK(std::count(seen.begin(), seen.end(), Cpus{2, 3}) == 2);
  CHECK(std::count(seen.begin(), seen.end(), Cpus{64}) == 2);
}

TEST_CASE("invalid CPUs are refused and nothing changes") {
  Groups machine;
  for (const Cpus& cpus : {Cpus{}, Cpus{4}, Cpus{130}, Cpus{-1}, Cpus{1 << 20}}) {
    const Status done = set_thread_cpus(cpus, 0);
    REQUIRE_FALSE(done);
    CHECK(done.failure().code == EINVAL);
    CHECK(thread_cpus(0).value() == Cpus{0, 1, 2, 3});
  }
}

TEST_CASE("threads that have ended or are refused are told apart") {
  Groups machine;
  const Status ended = set_thread_cpus(Cpus{1}, 12345);
  REQUIRE_FALSE(ended);
  CHECK(ended.failure().code == ESRCH);
  CHECK(thread_cpus(12345).failure().code == ESRCH);
  machine.fails = "SetThreadGroupAffinity";
  machine.error = ERROR_ACCESS_DENIED;
  const Status refused = set_thread_cpus(Cpus{1}, 8);
  REQUIRE_FALSE(refused);
  CHECK(refused.failure().code == EACCES);
  CHECK(refused.failure().cause == Cause::kRefused);
}

TEST_CASE("a process may use all groups unless it was given less") {
  Groups machine;
  const Cpus all{0, 1, 2, 3, 64, 65};
  CHECK(usable_cpus().value() == all);
  machine.own_mask = machine.every_mask = 0b1111;
  CHECK(usable_cpus().value() == all);
  machine.own_mask = 0b11;
  machine.own_group = 1;
  CHECK(usable_cpus().value() == Cpus{64, 65});
}

TEST_CASE("the threads of this process are listed") {
  Groups machine;
  machine.foreign_threads = {9};
  CHECK(thread_ids().value() == std::vector<ThreadId>{7, 8});
  machine.fails = "CreateToolhelp32Snapshot";
  CHECK_FALSE(thread_ids());
}

TEST_CASE("a list that breaks off at once is no list") {
  Groups machine;
  machine.fails = "Thread32Next";
  machine.error = ERROR_ACCESS_DENIED;
  CHECK_FALSE(thread_ids());
}

TEST_CASE("later threads follow by CPU sets") {
  Groups machine;
  CHECK(have_new_threads_follow(Cpus{1, 64}));
  CHECK(machine.default_cpu_sets == std::vector<ULONG>{257, 260});
}

TEST_CASE("a Windows without CPU sets says so") {
  Groups machine;
  machine.table().SetProcessDefaultCpuSets = nullptr;
  const Status done = have_new_threads_follow(Cpus{1});
  REQUIRE_FALSE(done);
  CHECK(done.failure().cause == Cause::kUnsupported);
}

}  // namespace numapool::platform::windows::testing
