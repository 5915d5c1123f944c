// The texts behind memory pressure: PSI, memory.events, zoneinfo, and the service manager's base64.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "platform/linux/pressure/cgroup_pressure.hpp"
#include "platform/linux/pressure/pressure_watch.hpp"
#include "platform/linux/pressure/psi.hpp"
#include "platform/linux/pressure/systemd_pressure.hpp"
#include "platform/linux/pressure/watermarks.hpp"

namespace numapool::platform {
namespace {

namespace fs = std::filesystem;

struct TemporaryFolder {
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "numapool-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  std::string write(const char* name, std::string_view text) const {
    std::ofstream(path / name) << text;
    return (path / name).string();
  }
  fs::path path;
};

}  // namespace

TEST_CASE("totals of a pressure file") {
  CHECK(parse_psi("some avg10=0.12 avg60=0.00 avg300=0.00 total=4567\n"
                  "full avg10=0.00 avg60=0.00 avg300=0.00 total=123\n") == PsiTotals{4567, 123});
  CHECK(parse_psi("some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n") == PsiTotals{9, 0});
  CHECK(parse_psi("some avg10=0.00 total=18446744073709551615") ==
        PsiTotals{18446744073709551615U, 0});
}

TEST_CASE("what only looks like a pressure file") {
  for (const char* const text : {"", "\n", "some", "some total", "some total=", "some total=x",
                                 "full avg10=0.00 total=5\n", "total=5"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_psi(text));
  }
}

TEST_CASE("a pressure file that cannot be used says why") {
  const TemporaryFolder folder;
  PsiFile file;
  CHECK(file.open((folder.path / "missing").string()).find("No such file") != std::string::npos);
  CHECK(file.open(folder.write("empty", "")) == "holds no totals");
  CHECK(file.open(folder.write("garbage", "hello")) == "holds no totals");
  CHECK(file.descriptor() < 0);
  CHECK(file.open(folder.write("good", "some avg10=0.00 total=7\nfull avg10=0.00 total=3\n")) ==
        "");
  CHECK(file.read() == PsiTotals{7, 3});
}

TEST_CASE("counters of a cgroup tell what is new") {
  CHECK(parse_cgroup_events("low 0\nhigh 3\nmax 4\noom 5\noom_kill 6\noom_group_kill 7\n") ==
        CgroupEvents{3, 4, 5, 6});
  CHECK(parse_cgroup_events("") == CgroupEvents{});
  const TemporaryFolder folder;
  folder.write("memory.events", "low 0\nhigh 3\nmax 4\noom 0\noom_kill 0\n");
  CgroupCounters counters;
  REQUIRE(counters.open(folder.path.string()));
  CHECK(counters.look() == CgroupEvents{});
  folder.write("memory.events", "low 0\nhigh 5\nmax 4\noom 1\noom_kill 0\n");
  CHECK(counters.look() == CgroupEvents{2, 0, 1, 0});
  CHECK(counters.look() == CgroupEvents{});
  CHECK_FALSE(counters.open((folder.path / "nowhere").string()));
  CHECK_FALSE(counters.look());
}

TEST_CASE("limits of a cgroup: the lower one, and clean cache counts as room") {
  const TemporaryFolder folder;
  folder.write("memory.max", "max\n");
  folder.write("memory.high", "1000000\n");
  folder.write("memory.current", "900000\n");
  folder.write("memory.stat",
               "anon 1\nfile 1\nfile_dirty 50000\nfile_writeback 10000\ninactive_file 100000\n"
               "active_file 160000\n");
  CgroupLimits high(folder.path.string(), 2);
  const auto seen = high.look();
  REQUIRE(seen);
  CHECK(seen->limit_bytes == 1000000);
  CHECK(seen->needed_bytes == 900000 - (260000 - 60000));
  folder.write("memory.max", "800000\n");
  CgroupLimits lower(folder.path.string(), 2);
  CHECK(lower.look()->limit_bytes == 800000);
  folder.write("memory.max", "max\n");
  folder.write("memory.high", "max\n");
  CgroupLimits none(folder.path.string(), 2);
  CHECK_FALSE(none.look());
  std::vector<CgroupLimits> both;
  both.emplace_back(folder.path.string(), 2);
  CHECK_FALSE(tightest(both));
}

TEST_CASE("what the kernel keeps of each node") {
  const auto reserves = parse_reserves(
      "Node 0, zone      DMA\n  per-node stats\n      nr_inactive_anon 0\n  pages free     3840\n"
      "        boost    0\n        min      25\n        low      31\n        high     37\n"
      "        spanned  4095\n        present  3998\n        managed  3840\n"
      "        protection: (0, 3019, 10059, 10059)\n  pagesets\n    cpu: 0\n"
      "              count:    0\n              high:     99999\n              high_min: 15\n"
      "Node 0, zone   Normal\n  pages free     1000\n        high     200\n"
      "        managed  5000\n        protection: (0, 0, 0, 0)\n"
      "Node 3, zone  Movable\n  pages free     1\n        high     70\n        managed  100\n"
      "        protection: (0, 0, 0, 0)\n");
  // The DMA zone protects more than it has: all of it.
  CHECK(reserves == std::map<int, std::uint64_t>{{0, 3840 + 200}, {3, 70}});
  CHECK(parse_reserves("").empty());
  CHECK(parse_reserves("Node x, zone\nhigh 5\nmanaged 6\n").empty());
  CHECK(parse_reserves("Node 99999999999, zone\nhigh 5\n").empty());
}

TEST_CASE("what the kernel keeps is read to the end of a file of megabytes") {
  const TemporaryFolder folder;
  std::string text;
  for (int node = 0; node < 3; ++node) {
    text += "Node " + std::to_string(node) + ", zone   Normal\n        high     " +
            std::to_string(100 + node) + "\n        managed  5000\n  pagesets\n";
    for (int cpu = 0; cpu < 8000; ++cpu)
      text += "    cpu: " + std::to_string(cpu) +
              "\n              count:    0\n              high:     99999\n";
  }
  REQUIRE(text.size() > (std::size_t{3} << 19));
  const std::map<int, std::uint64_t> all{{0, 100}, {1, 101}, {2, 102}};
  CHECK(read_reserves(folder.write("zoneinfo", text)) == all);
  CHECK(parse_reserves(text) == all);
  text.pop_back();
  CHECK(read_reserves(folder.write("no end of a line", text)) == all);
  CHECK(read_reserves((folder.path / "missing").string()).empty());
  fs::create_directories(folder.path / "proc");
  fs::create_directories(folder.path / "sys/devices/system/node/node2");
  folder.write("proc/zoneinfo", text);
  folder.write("sys/devices/system/node/has_memory", "2\n");
  folder.write("sys/devices/system/node/node2/meminfo",
               "Node 2 MemTotal: 20000 kB\nNode 2 MemFree: 10000 kB\n");
  const auto nodes = NodeSupplies(folder.path.string()).look(1);
  REQUIRE(nodes.size() == 1);
  CHECK(nodes[0].reserve_bytes == 102U * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
}

TEST_CASE("sources that lacked a descriptor at the start are tried again") {
  const auto active = [](const LinuxPressureWatch& watch) {
    std::vector<std::pair<PressureSource, bool>> out;
    for (const SourceState& one : watch.sources()) out.emplace_back(one.source, one.active);
    return out;
  };
  const auto wanted = active(LinuxPressureWatch({}));
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int next = dup(0);
  REQUIRE(next >= 0);
  close(next);
  // One is left, for the bell.
  const rlimit one{static_cast<rlim_t>(next) + 1, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &one) == 0);
  LinuxPressureWatch watch({});
  const auto at_start = watch.sources();
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(watch.can_wait());
  for (const SourceState& source : at_start) {
    CAPTURE(static_cast<int>(source.source));
    CHECK_FALSE(source.active);
    CHECK_FALSE(source.detail.empty());
    // Nothing is known of the cgroup, and nothing is claimed.
    if (source.source == PressureSource::kCgroup || source.source == PressureSource::kCgroupStall)
      CHECK(source.detail.find("cannot be read") != std::string::npos);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(260));
  static_cast<void>(watch.look());
  CHECK(active(watch) == wanted);
}

TEST_CASE("a source that comes later is found") {
  const TemporaryFolder folder;
  const std::string fifo = (folder.path / "fifo").string();
  WatchRequest request;
  request.sources = 1U << static_cast<unsigned>(PressureSource::kSystemd);
  request.service_watch = fifo;
  LinuxPressureWatch watch(request);
  REQUIRE(watch.sources().size() == 1);
  CHECK_FALSE(watch.sources()[0].active);
  CHECK(watch.sources()[0].detail.find("cannot be found") != std::string::npos);
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(260));
  static_cast<void>(watch.look());
  CHECK(watch.sources()[0].active);
}

TEST_CASE("a notice that the cgroup is gone is no pressure") {
  const TemporaryFolder folder;
  folder.write("memory.pressure_level", "");
  folder.write("cgroup.event_control", "");
  CgroupNotices notices;
  REQUIRE(notices.open(folder.path.string()) == "");
  const std::uint64_t one = 1;
  REQUIRE(write(notices.descriptor(), &one, sizeof(one)) == sizeof(one));
  CHECK(notices.take());
  CHECK_FALSE(notices.take());
  fs::remove(folder.path / "cgroup.event_control");
  REQUIRE(write(notices.descriptor(), &one, sizeof(one)) == sizeof(one));
  CHECK_FALSE(notices.take());
  CHECK(notices.descriptor() < 0);
}

TEST_CASE("a socket whose other end is gone raises no signal") {
  std::array<int, 2> ends{};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  CHECK(write_quietly(ends[0], "some") == 4);
  close(ends[1]);
  CHECK(write_quietly(ends[0], "some") == -1);  // SIGPIPE would end this process
  CHECK(errno == EPIPE);
  close(ends[0]);
  const TemporaryFolder folder;
  const int file = open(folder.write("file", "").c_str(), O_WRONLY | O_CLOEXEC);
  CHECK(write_quietly(file, "some") == 4);
  close(file);
}

TEST_CASE("base64 as the service manager writes it") {
  CHECK(decode_base64("c29tZSAyMDAwMDAgMjAwMDAwMAA=") == std::string("some 200000 2000000\0", 20));
  CHECK(decode_base64("") == "");
  CHECK(decode_base64("QQ==") == "A");
  CHECK(decode_base64("QUI") == "AB");
  for (const char* const text : {"A", "QQ=Q", "Q Q=", "Q*==", "\xff\xff\xff\xff"}) {
    CAPTURE(text);
    CHECK_FALSE(decode_base64(text));
  }
}

TEST_CASE("the service manager's protocol") {
  SystemdPressure systemd;
  CHECK(systemd.open(nullptr, nullptr) == "$MEMORY_PRESSURE_WATCH is not set");
  CHECK_FALSE(systemd.unwanted());
  CHECK(systemd.open("/dev/null", nullptr) == "$MEMORY_PRESSURE_WATCH asks not to watch");
  CHECK(systemd.unwanted());
  CHECK(systemd.open("relative/path", nullptr).find("no absolute path") != std::string::npos);
  CHECK(systemd.open("/", nullptr).find("neither") != std::string::npos);
  CHECK(systemd.open("/nowhere/at/all", nullptr).find("cannot be found") != std::string::npos);
  const TemporaryFolder folder;
  const std::string fifo = (folder.path / "fifo").string();
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(systemd.open(fifo.c_str(), "no base64!").find("no base64") != std::string::npos);
  REQUIRE(systemd.open(fifo.c_str(), nullptr) == "");
  CHECK(systemd.poll_events() == POLLIN);
  pollfd one{systemd.descriptor(), POLLIN, 0};
  CHECK(poll(&one, 1, 0) == 0);
  const int writer = open(fifo.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(write(writer, "pressure", 8) == 8);
  CHECK(poll(&one, 1, 1000) == 1);
  CHECK(systemd.take());
  CHECK(poll(&one, 1, 0) == 0);  // all of it was taken
  close(writer);
  CHECK(poll(&one, 1, 0) == 0);  // a writer that left is no news: others may come
}

}  // namespace numapool::platform
