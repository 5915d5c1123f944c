// The balloon's size from every driver's files, and from files that make no sense.
#include "platform/linux/host/balloon_meter.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include "temporary_tree.hpp"

namespace numapool::platform {
namespace {

const std::uint64_t kPage = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
constexpr std::uint64_t kKiB = 1024;
const char* const kVirtio = "sys/bus/virtio/devices/virtio3/";
const char* const kXen = "sys/devices/system/xen_memory/xen_memory0/";
const char* const kVmbus = "sys/bus/vmbus/devices/1eccfd72-4b41-45ef-b73a-4a6e44c12924/";

TemporaryTree& add_virtio(TemporaryTree& tree, bool bound = true) {
  tree.file(std::string(kVirtio) + "device", "0x0005\n");
  tree.file(std::string(kVirtio) + "features", "01100100\n");
  if (bound) tree.folder(std::string(kVirtio) + "driver");
  return tree;
}

TemporaryTree& add_xen(TemporaryTree& tree) {
  const std::string place = kXen;
  return tree.file(place + "target_kb", "900000\n")
      .file(place + "info/current_kb", "1000000\n")
      .file(place + "info/low_kb", "40000\n")
      .file(place + "info/high_kb", "8000\n");
}

}  // namespace

TEST_CASE("no balloon, no tree") {
  const TemporaryTree tree;
  for (const std::string& root : {tree.root(), std::string("/no/such/tree")}) {
    BalloonMeter meter(root);
    CHECK_FALSE(meter.device());
    CHECK_FALSE(meter.inflated_bytes());
    CHECK_FALSE(meter.target_bytes());
    CHECK(meter.source().empty());
  }
}

TEST_CASE("virtio by the events of an older kernel, followed as they grow") {
  TemporaryTree tree;
  add_virtio(tree).file("proc/vmstat",
                        "nr_free_pages 7\nballoon_inflate 300\nballoon_deflate 44\n");
  BalloonMeter meter(tree.root());
  REQUIRE(meter.device());
  CHECK(meter.device()->driver == BalloonDriver::kVirtio);
  CHECK(meter.device()->features == "01100100");
  CHECK(meter.inflated_bytes() == 256 * kPage);
  CHECK_FALSE(meter.target_bytes());
  CHECK(meter.source() == tree.root() + "/proc/vmstat: balloon_inflate - balloon_deflate");
  tree.file("proc/vmstat", "nr_free_pages 7\nballoon_inflate 1300\nballoon_deflate 44\n");
  CHECK(meter.inflated_bytes() == 1256 * kPage);
  tree.file("proc/vmstat", "nr_free_pages 7\nballoon_inflate 1300\nballoon_deflate 1301\n");
  CHECK(meter.inflated_bytes() == 0);
  tree.file("proc/vmstat", "");
  CHECK_FALSE(meter.inflated_bytes());
}

TEST_CASE("virtio by the count of a newer kernel, which comes before the events") {
  TemporaryTree tree;
  add_virtio(tree).file("proc/vmstat",
                        "nr_balloon_pages 5\nballoon_inflate 9\nballoon_deflate 0\n");
  BalloonMeter meter(tree.root());
  CHECK(meter.inflated_bytes() == 5 * kPage);
  CHECK(meter.source() == tree.root() + "/proc/vmstat: nr_balloon_pages");
}

TEST_CASE("virtio by meminfo where vmstat says nothing") {
  TemporaryTree tree;
  add_virtio(tree).file("proc/vmstat", "nr_free_pages 7\n");
  tree.file("proc/meminfo", "MemTotal: 9 kB\nBalloon:           2048 kB\n");
  BalloonMeter meter(tree.root());
  CHECK(meter.inflated_bytes() == 2048 * kKiB);
}

TEST_CASE("virtio's other devices, and a balloon that no driver has taken") {
  TemporaryTree tree;
  tree.file("sys/bus/virtio/devices/virtio0/device", "0x0001\n");
  tree.file("proc/vmstat", "balloon_inflate 300\nballoon_deflate 44\n");
  CHECK_FALSE(BalloonMeter(tree.root()).device());
  add_virtio(tree, false);
  BalloonMeter meter(tree.root());
  REQUIRE(meter.device());
  CHECK_FALSE(meter.device()->bound);
  CHECK_FALSE(meter.inflated_bytes());
  CHECK(meter.source().empty());
}

TEST_CASE("Xen: low and high memory together; the target is what the guest shall keep") {
  TemporaryTree tree;
  add_xen(tree);
  BalloonMeter meter(tree.root());
  CHECK(meter.inflated_bytes() == 48000 * kKiB);
  CHECK(meter.target_bytes() == 148000 * kKiB);  // 100000 kB more than it has given
  tree.file(std::string(kXen) + "target_kb", "1020000\n");
  CHECK(meter.target_bytes() == 28000 * kKiB);
  tree.file(std::string(kXen) + "target_kb", "2000000\n");
  CHECK(meter.target_bytes() == 0);
  tree.remove(std::string(kXen) + "target_kb");
  tree.file(std::string(kXen) + "info/low_kb", "99999999999999999999\n");
  CHECK_FALSE(meter.inflated_bytes());
}

TEST_CASE("VMware, new and old texts") {
  for (const char* const text :
       {"balloon capabilities  :             0x1e\ntarget                :           262144\n"
        "current               :             1000\ntarget                :   12 (0 failed)\n",
        "target:               262144 pages\ncurrent:                 1000 pages\n"}) {
    TemporaryTree tree;
    tree.file("sys/kernel/debug/vmmemctl", text);
    BalloonMeter meter(tree.root());
    CHECK(meter.inflated_bytes() == 1000 * 4 * kKiB);
    CHECK(meter.target_bytes() == 262144 * 4 * kKiB);
  }
}

TEST_CASE("VMware without debugfs: the module shows it, the events tell its size") {
  TemporaryTree tree;
  tree.folder("sys/module/vmw_balloon");
  tree.file("proc/vmstat", "nr_balloon_pages 1\nballoon_inflate 600\nballoon_deflate 0\n");
  BalloonMeter meter(tree.root());
  CHECK(meter.inflated_bytes() == 600 * kPage);
  CHECK_FALSE(meter.target_bytes());
}

TEST_CASE("Hyper-V by debugfs, and by the kernel's count without") {
  TemporaryTree tree;
  tree.file(std::string(kVmbus) + "class_id", "{525074DC-8985-46e2-8057-A307DC18A502}\n");
  tree.folder(std::string(kVmbus) + "driver");
  tree.file("proc/vmstat", "balloon_inflate 600\nballoon_deflate 0\n");
  CHECK_FALSE(BalloonMeter(tree.root()).inflated_bytes());  // the driver counts no events
  tree.file("proc/vmstat", "nr_balloon_pages 70\n");
  CHECK(BalloonMeter(tree.root()).inflated_bytes() == 70 * kPage);
  tree.file("sys/kernel/debug/hv-balloon",
            "host_version          : 2.0\ncapabilities          : enabled hot_add\n"
            "page_size             : 4096\npages_added           : 0\n"
            "pages_ballooned       : 512\nmax_dynamic_page_count: 9\n");
  BalloonMeter meter(tree.root());
  CHECK(meter.device()->driver == BalloonDriver::kHyperv);
  CHECK(meter.inflated_bytes() == 512 * 4 * kKiB);
  CHECK_FALSE(meter.target_bytes());
  tree.file("sys/kernel/debug/hv-balloon", "page_size: 0\npages_ballooned: 512\n");
  CHECK_FALSE(meter.inflated_bytes());
}

TEST_CASE("a virtio balloon at work comes before others, one that waits after them") {
  TemporaryTree tree;
  add_xen(add_virtio(tree, false));
  CHECK(BalloonMeter(tree.root()).device()->driver == BalloonDriver::kXen);
  add_virtio(tree);
  CHECK(BalloonMeter(tree.root()).device()->driver == BalloonDriver::kVirtio);
}

TEST_CASE("texts without a size") {
  for (const char* const text :
       {"", "\n", "balloon_inflate", "balloon_inflate x\nballoon_deflate 1", "balloon_inflate 5\n",
        "nr_balloon_pages -1\n", "nr_balloon_pages 99999999999999999999\n",
        "nr_balloon_pages 18446744073709551615\n"}) {
    CAPTURE(text);
    TemporaryTree tree;
    add_virtio(tree).file("proc/vmstat", text);
    BalloonMeter meter(tree.root());
    CHECK_FALSE(meter.inflated_bytes());
    CHECK(meter.source().empty());
  }
}

}  // namespace numapool::platform
