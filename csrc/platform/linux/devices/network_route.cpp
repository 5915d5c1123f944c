// Which network interface leads to an address, from /proc/net/route and /proc/net/ipv6_route.
#include "platform/linux/devices/network_route.hpp"

#include <arpa/inet.h>
#include <net/if.h>

#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <vector>

namespace numapool::platform {
namespace {

// linux/route.h
constexpr std::uint32_t kUp = 0x1;
constexpr std::uint32_t kReject = 0x200;

// The names that the kernel accepts for interfaces (dev_valid_name in net/core/dev.c).
bool is_name(std::string_view text) noexcept {
  return !text.empty() && text.size() < IFNAMSIZ && text != "." && text != ".." &&
         text.find('/') == std::string_view::npos;
}

std::vector<std::string_view> words_of(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  std::vector<std::string_view> words;
  for (std::size_t at = line.find_first_not_of(kBlank); at != std::string_view::npos;) {
    const std::size_t end = line.find_first_of(kBlank, at);
    words.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(kBlank, std::min(end, line.size()));
  }
  return words;
}

std::optional<std::uint32_t> number(std::string_view text, int base) noexcept {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The best route so far: a longer prefix, then a lower metric.
struct Best {
  int prefix = -1;
  std::uint32_t metric = 0;
  std::string interface;

  void offer(int length, std::uint32_t its_metric, std::string_view name) {
    if (length < prefix || (length == prefix && its_metric >= metric)) return;
    prefix = length;
    metric = its_metric;
    interface = name;
  }
};

template <class Visit>
void each_line(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const std::size_t length = std::min(text.find('\n'), text.size());
    visit(words_of(text.substr(0, length)));
    text.remove_prefix(std::min(length + 1, text.size()));
  }
}

// Iface Destination Gateway Flags RefCnt Use Metric Mask ...: addresses are numbers in hexadecimal
// of this machine's byte order.
std::string route4(std::uint32_t address, std::string_view routes) {
  Best best;
  each_line(routes, [&](const std::vector<std::string_view>& words) {
    if (words.size() < 8) return;
    const auto target = number(words[1], 16), flags = number(words[3], 16);
    const auto metric = number(words[6], 10), mask = number(words[7], 16);
    if (!target || !flags || !metric || !mask) return;  // the heading
    if ((*flags & kUp) == 0 || (*flags & kReject) != 0 || (address & *mask) != *target) return;
    best.offer(std::popcount(*mask), *metric, words[0]);
  });
  return best.interface;
}

using Bytes6 = std::array<unsigned char, 16>;

std::optional<Bytes6> bytes_of(std::string_view digits) noexcept {
  Bytes6 bytes{};
  if (digits.size() != 2 * bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto value = number(digits.substr(2 * i, 2), 16);
    if (!value) return std::nullopt;
    bytes[i] = static_cast<unsigned char>(*value);
  }
  return bytes;
}

bool matches(const Bytes6& a, const Bytes6& b, unsigned bits) noexcept {
  const std::size_t whole = bits / 8;
  if (std::memcmp(a.data(), b.data(), whole) != 0) return false;
  if (bits % 8 == 0) return true;
  return ((a[whole] ^ b[whole]) >> (8 - bits % 8)) == 0;
}

// destination prefix source prefix nexthop metric references use flags interface
std::string route6(const Bytes6& address, std::string_view routes) {
  Best best;
  each_line(routes, [&](const std::vector<std::string_view>& words) {
    if (words.size() < 10) return;
    const auto target = bytes_of(words[0]);
    const auto prefix = number(words[1], 16), metric = number(words[5], 16);
    const auto flags = number(words[8], 16);
    if (!target || !prefix || *prefix > 128 || !metric || !flags) return;
    if ((*flags & kUp) == 0 || (*flags & kReject) != 0) return;
    if (!matches(address, *target, *prefix)) return;
    best.offer(static_cast<int>(*prefix), *metric, words[9]);
  });
  return best.interface;
}

}  // namespace

std::optional<std::string> interface_to(std::string_view address, std::string_view routes4,
                                        std::string_view routes6) {
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  if (const std::size_t scope = address.find('%'); scope != std::string_view::npos) {
    const std::string_view name = address.substr(scope + 1);
    return is_name(name) ? std::optional(std::string(name)) : std::nullopt;
  }
  const std::string text(address);
  std::string found;
  in_addr four{};
  in6_addr six{};
  if (inet_pton(AF_INET, text.c_str(), &four) == 1) {
    found = route4(four.s_addr, routes4);
  } else if (inet_pton(AF_INET6, text.c_str(), &six) == 1) {
    Bytes6 bytes{};
    std::memcpy(bytes.data(), &six, bytes.size());
    // ::ffff:10.0.0.1 is an IPv4 address
    if (IN6_IS_ADDR_V4MAPPED(&six)) {
      std::memcpy(&four, bytes.data() + 12, sizeof four);
      found = route4(four.s_addr, routes4);
    } else {
      found = route6(bytes, routes6);
    }
  }
  if (!is_name(found)) return std::nullopt;
  return found;
}

}  // namespace numapool::platform
