// Devices with and without a node, registered with SetupAPI for the test; the machine's names.
#include "platform/device.hpp"

#include <doctest/doctest.h>

#include <cerrno>

#include "platform/host.hpp"
#include "platform/windows/devnodes.hpp"
#include "windows/scripted.hpp"

namespace numapool::platform::windows::testing {
namespace {

constexpr DEVPROPKEY kNode{
    {0x540b947e, 0x8b40, 0x45bc, {0xa8, 0xa2, 0x6a, 0x0b, 0x89, 0x4c, 0xbd, 0xa2}}, 3};
constexpr DEVPROPKEY kDomain{
    {0x540b947e, 0x8b40, 0x45bc, {0xa8, 0xa2, 0x6a, 0x0b, 0x89, 0x4c, 0xbd, 0xa2}}, 1};
constexpr GUID kDisplays{
    0x4d36e968, 0xe325, 0x11ce, {0xbf, 0xc1, 0x08, 0x00, 0x2b, 0xe1, 0x03, 0x18}};

// A display adapter that is there as long as this object.
class Registered {
 public:
  explicit Registered(const wchar_t* id) : set_(::SetupDiCreateDeviceInfoList(nullptr, nullptr)) {
    device_.cbSize = sizeof device_;
    made_ = ::SetupDiCreateDeviceInfoW(set_, id, &kDisplays, L"A card of the test", nullptr, 0,
                                       &device_) != FALSE &&
            ::SetupDiRegisterDeviceInfo(set_, &device_, 0, nullptr, nullptr, nullptr) != FALSE;
  }
  ~Registered() {
    ::SetupDiRemoveDevice(set_, &device_);
    ::SetupDiDestroyDeviceInfoList(set_);
  }
  Registered(const Registered&) = delete;
  Registered& operator=(const Registered&) = delete;
  [[nodiscard]] bool made() const noexcept { return made_; }
  // MinGW's headers lack the function.
  [[nodiscard]] bool tell(const DEVPROPKEY& key, UINT32 value) {
    using Set = BOOL(WINAPI*)(HDEVINFO, PSP_DEVINFO_DATA, const DEVPROPKEY*, DEVPROPTYPE,
                              const BYTE*, DWORD, DWORD);
    const FARPROC found =
        ::GetProcAddress(::GetModuleHandleW(L"setupapi.dll"), "SetupDiSetDevicePropertyW");
    const auto set = reinterpret_cast<Set>(reinterpret_cast<void*>(found));
    return set != nullptr && set(set_, &device_, &key, DEVPROP_TYPE_UINT32,
                                 reinterpret_cast<const BYTE*>(&value), sizeof value, 0) != FALSE;
  }

 private:
  HDEVINFO set_;
  SP_DEVINFO_DATA device_{};
  bool made_ = false;
};

TEST_CASE("a device's node is what SetupAPI tells of it") {
  const char* const id = "PCI\\VEN_1234&DEV_0001\\NUMAPOOL1";
  Registered card(L"PCI\\VEN_1234&DEV_0001\\NUMAPOOL1");
  REQUIRE(card.made());
  auto walk = walk_to_devices("/", id);
  REQUIRE(walk);
  REQUIRE(walk.value().legs.size() == 1);
  CHECK_FALSE(walk.value().legs[0].node_id);
  CHECK(walk.value().legs[0].reason.find("no node") != std::string::npos);

  REQUIRE(card.tell(kNode, 0xFFFFFFFF));
  walk = walk_to_devices("/", id);
  REQUIRE(walk);
  CHECK_FALSE(walk.value().legs[0].node_id);

  REQUIRE(card.tell(kNode, 3));
  walk = walk_to_devices("/", id);
  REQUIRE(walk);
  CHECK(walk.value().legs[0].node_id == 3);
  CHECK(walk.value().legs[0].evidence.find("DEVPKEY_Device_Numa_Node") == 0);
  const auto all = list_devices("/");
  REQUIRE(all);
  bool listed = false;
  for (const DeviceRecord& one : all.value()) listed = listed || one.node_id == 3;
  CHECK(listed);
}

TEST_CASE("a proximity domain is turned into its node") {
  Machine machine;
  Registered card(L"PCI\\VEN_1234&DEV_0002\\NUMAPOOL2");
  REQUIRE(card.made());
  REQUIRE(card.tell(kDomain, 200));
  const auto walk = walk_to_devices("/", "PCI\\VEN_1234&DEV_0002\\NUMAPOOL2");
  REQUIRE(walk);
  CHECK(walk.value().legs[0].node_id == 2);
}

TEST_CASE("what is nothing here is told by ENOENT, another root as unsupported") {
  for (const char* const name : {"0000:fe:1f.7", "no-such-thing", "C:\\no\\such\\file"}) {
    const auto walk = walk_to_devices("/", name);
    REQUIRE_FALSE(walk);
    CHECK(walk.failure().code == ENOENT);
  }
  CHECK(walk_to_devices("/elsewhere", "C:\\").failure().cause == Cause::kUnsupported);
}

TEST_CASE("a file leads to its volume, and on to disks or to a reason") {
  const auto walk = walk_to_devices("/", "C:\\windows");
  REQUIRE(walk);
  REQUIRE(walk.value().steps.size() >= 2);
  CHECK(walk.value().steps[0].kind == "file");
  CHECK(walk.value().steps[1].kind == "volume");
  CHECK(walk.value().legs.size() + walk.value().dead_ends.size() != 0);
}

TEST_CASE("the machine's names are the SMBIOS table's, in the order in which they are believed") {
  Machine machine;
  std::vector<unsigned char> raw(8);
  const auto add = [&](unsigned char type, const std::string& strings) {
    raw.insert(raw.end(), {type, 6, 0, 0, 1, 2});
    raw.insert(raw.end(), strings.begin(), strings.end());
    raw.insert(raw.end(), {0, 0});
  };
  using namespace std::string_literals;
  add(0, "A BIOS\0 1.0"s);
  add(1, "Microsoft Corporation\0Virtual Machine"s);
  add(2, "A board\0 x"s);
  machine.tables["RSMB"] = raw;
  const auto clues = hypervisor_clues("/");
  REQUIRE(clues);
  REQUIRE(clues.value().size() == 4);
  CHECK(clues.value()[0].kind == ClueKind::kProduct);
  CHECK(clues.value()[0].text == "Virtual Machine");
  CHECK(clues.value()[1].text == "Microsoft Corporation");
  CHECK(clues.value()[2].text == "A board");
  CHECK(clues.value()[3].text == "A BIOS");
  for (std::size_t length = raw.size(); length-- > 0;) {
    machine.tables["RSMB"] = {raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(length)};
    CHECK(hypervisor_clues("/"));
  }
}

TEST_CASE("a balloon shows by its device") {
  CHECK(read_balloon("/").value().driver.empty());
  CHECK(resident_bytes().value().now > 0);
  CHECK_FALSE(compact_memory("/"));
}

}  // namespace
}  // namespace numapool::platform::windows::testing
