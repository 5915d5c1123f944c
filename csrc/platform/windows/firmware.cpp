// Reads the firmware's tables: ACPI 6.5 (SRAT 5.2.16, SLIT 5.2.17) and SMBIOS 3.7 (types 0 to 2).
#include "platform/windows/firmware.hpp"

#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>

#include "platform/windows/api.hpp"

namespace numapool::platform::windows {
namespace {

constexpr DWORD kAcpi = 0x41435049;    // 'ACPI'
constexpr DWORD kSmbios = 0x52534D42;  // 'RSMB'
constexpr std::size_t kMostTable = std::size_t{16} << 20;

using Bytes = std::vector<unsigned char>;

DWORD table_id(const char (&name)[5]) noexcept {
  DWORD id = 0;
  std::memcpy(&id, name, sizeof id);
  return id;
}

Bytes table(DWORD provider, DWORD id) {
  const UINT size = api().GetSystemFirmwareTable(provider, id, nullptr, 0);
  if (size == 0 || size > kMostTable) return {};
  Bytes bytes(size);
  const UINT got = api().GetSystemFirmwareTable(provider, id, bytes.data(), size);
  if (got == 0 || got > size) return {};
  bytes.resize(got);
  return bytes;
}

template <class T>
T read_at(const Bytes& bytes, std::size_t at) noexcept {
  T out{};
  if (at <= bytes.size() && sizeof out <= bytes.size() - at)
    std::memcpy(&out, bytes.data() + at, sizeof out);
  return out;
}

std::optional<int> node_of_domain(std::uint32_t domain) {
  USHORT node = 0;
  if (api().GetNumaProximityNodeEx(domain, &node) == FALSE) return std::nullopt;
  return node;
}

// The string of that number behind a structure; numbers begin at 1.
std::string string_of(const Bytes& bytes, std::size_t strings, unsigned number) {
  std::size_t at = strings;
  for (unsigned i = 1; number != 0 && at < bytes.size() && bytes[at] != 0; ++i) {
    std::size_t end = at;
    while (end < bytes.size() && bytes[end] != 0) ++end;
    if (i == number)
      return {bytes.begin() + static_cast<std::ptrdiff_t>(at),
              bytes.begin() + static_cast<std::ptrdiff_t>(end)};
    at = end + 1;
  }
  return {};
}

}  // namespace

std::map<int, std::uint64_t> memory_by_node() {
  constexpr std::size_t kFirst = 48;
  constexpr unsigned char kMemory = 1;
  constexpr std::size_t kMemoryLength = 40;
  constexpr std::uint32_t kEnabled = 1;
  constexpr std::uint32_t kHotPluggable = 2;
  const Bytes srat = table(kAcpi, table_id("SRAT"));
  std::map<int, std::uint64_t> out;
  for (std::size_t at = kFirst; at + 2 <= srat.size();) {
    const std::size_t length = srat[at + 1];
    if (length < 2 || length > srat.size() - at) break;
    if (srat[at] == kMemory && length >= kMemoryLength) {
      const auto flags = read_at<std::uint32_t>(srat, at + 28);
      const auto node = node_of_domain(read_at<std::uint32_t>(srat, at + 2));
      if (node && (flags & (kEnabled | kHotPluggable)) == kEnabled)
        out[*node] += read_at<std::uint64_t>(srat, at + 16);
    }
    at += length;
  }
  return out;
}

std::vector<std::vector<int>> distances(const std::vector<int>& nodes) {
  constexpr std::size_t kCountAt = 36;
  constexpr std::size_t kMatrix = 44;
  constexpr std::uint64_t kMostDomains = 1024;
  constexpr int kLocal = 10;
  const Bytes slit = table(kAcpi, table_id("SLIT"));
  const auto count = read_at<std::uint64_t>(slit, kCountAt);
  if (count == 0 || count > kMostDomains || slit.size() < kMatrix + count * count) return {};
  std::map<int, std::uint64_t> domain_of;
  for (std::uint64_t domain = 0; domain < count; ++domain) {
    if (const auto node = node_of_domain(static_cast<std::uint32_t>(domain)))
      domain_of.try_emplace(*node, domain);
  }
  std::vector<std::vector<int>> out;
  for (const int from : nodes) {
    if (domain_of.count(from) == 0) return {};
    std::vector<int> row;
    for (const int to : nodes) {
      if (domain_of.count(to) == 0) return {};
      const int distance = slit[kMatrix + domain_of[from] * count + domain_of[to]];
      if (from == to ? distance != kLocal : distance < kLocal) return {};
      row.push_back(distance);
    }
    out.push_back(std::move(row));
  }
  return out;
}

MachineNames machine_names() {
  constexpr std::size_t kHeader = 8;  // of RawSMBIOSData, which precedes the table
  constexpr unsigned char kBios = 0;
  constexpr unsigned char kSystem = 1;
  constexpr unsigned char kBoard = 2;
  const Bytes raw = table(kSmbios, 0);
  std::map<unsigned char, std::string> vendors;
  MachineNames out;
  for (std::size_t at = kHeader; at + 4 <= raw.size();) {
    const unsigned char type = raw[at];
    const std::size_t length = raw[at + 1];
    if (length < 4 || length > raw.size() - at) break;
    const std::size_t strings = at + length;
    if (type <= kBoard && length > 5) {
      vendors.try_emplace(type, string_of(raw, strings, raw[at + 4]));
      if (type == kSystem && out.product.empty())
        out.product = string_of(raw, strings, raw[at + 5]);
    }
    at = strings;
    while (at + 1 < raw.size() && (raw[at] != 0 || raw[at + 1] != 0)) ++at;
    at += 2;
  }
  for (const unsigned char type : {kSystem, kBoard, kBios}) {
    if (const auto found = vendors.find(type); found != vendors.end() && !found->second.empty())
      out.vendors.push_back(found->second);
  }
  return out;
}

}  // namespace numapool::platform::windows
