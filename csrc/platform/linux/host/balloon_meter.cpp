// How much memory the balloon holds now, and how much its host wants in it.
#include "platform/linux/host/balloon_meter.hpp"

#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "platform/linux/files/file_values.hpp"
#include "platform/linux/host/balloon_files.hpp"

namespace numapool::platform {
namespace {

// VMware and Hyper-V count in pages of their own, whatever the kernel's are.
constexpr std::uint64_t kHostPageBytes = 4096;

std::optional<std::uint64_t> times(std::optional<std::uint64_t> count,
                                   std::uint64_t unit) noexcept {
  if (!count || unit == 0) return std::nullopt;
  if (*count > std::numeric_limits<std::uint64_t>::max() / unit) return std::nullopt;
  return *count * unit;
}

// The number of a line "label   : 123 pages", the first that starts with `label`.
std::optional<std::uint64_t> labelled(std::string_view text, std::string_view label) noexcept {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.starts_with(label)) continue;
    line.remove_prefix(label.size());
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(' ')));
    if (line.starts_with(':')) return leading_number(line.substr(1));
  }
  return std::nullopt;
}

}  // namespace

BalloonMeter::BalloonMeter(const std::string& root)
    : page_bytes_(static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE))) {
  const Folder tree = Folder::open(root);
  if (!tree.ok()) return;
  device_ = find_balloon(tree);
  if (device_ && device_->bound) choose(tree.path_to(""), device_->driver);
}

// A driver's own file first. nr_balloon_pages (Linux 6.16) counts what every driver but VMware's
// takes; the events balloon_inflate and balloon_deflate, what virtio's and VMware's do.
void BalloonMeter::choose(const std::string& root, BalloonDriver driver) {
  const std::string vmstat = root + "proc/vmstat";
  const auto pages = [&] { return try_method(Method::kPages, vmstat, "nr_balloon_pages"); };
  const auto events = [&] {
    return try_method(Method::kEvents, vmstat, "balloon_inflate - balloon_deflate");
  };
  bool found = false;
  switch (driver) {
    case BalloonDriver::kVirtio:
      found = pages() || events() || try_method(Method::kMeminfo, root + "proc/meminfo", "Balloon");
      break;
    case BalloonDriver::kXen:
      found = try_method(Method::kXen, root + kXenBalloon, "info/low_kb + info/high_kb") || pages();
      break;
    case BalloonDriver::kVmware:
      found = try_method(Method::kVmware, root + kVmwareFile, "current") || events();
      break;
    case BalloonDriver::kHyperv:
      found = try_method(Method::kHyperv, root + kHypervFile, "pages_ballooned") || pages();
      break;
  }
  if (found) return;
  method_ = Method::kNone;
  files_.clear();
  source_.clear();
}

bool BalloonMeter::try_method(Method method, std::string file, const char* figure) {
  method_ = method;
  source_ = file + ": " + figure;
  files_.clear();
  if (method == Method::kXen) {
    for (const char* const name :
         {"/info/low_kb", "/info/high_kb", "/info/current_kb", "/target_kb"}) {
      files_.emplace_back(file + name);
    }
  } else {
    files_.emplace_back(std::move(file));
  }
  return inflated_bytes().has_value();
}

std::optional<std::uint64_t> BalloonMeter::inflated_bytes() noexcept {
  if (method_ == Method::kNone) return std::nullopt;
  const auto text = files_.front().read();
  if (!text) return std::nullopt;
  switch (method_) {
    case Method::kPages:
      return times(number_after(*text, "nr_balloon_pages "), page_bytes_);
    case Method::kEvents: {
      const auto in = number_after(*text, "balloon_inflate ");
      const auto out = number_after(*text, "balloon_deflate ");
      if (!in || !out) return std::nullopt;
      // Summed over CPUs one after the other: a moment may show pages leave that never came.
      return times(*in > *out ? *in - *out : 0, page_bytes_);
    }
    case Method::kMeminfo:
      return meminfo_bytes(*text, "Balloon:");
    case Method::kXen: {
      const auto low = times(leading_number(*text), kKiB);
      const auto high_text = files_[1].read();
      const auto high = high_text ? times(leading_number(*high_text), kKiB) : std::nullopt;
      if (!low || !high || *high > std::numeric_limits<std::uint64_t>::max() - *low) {
        return std::nullopt;
      }
      return *low + *high;
    }
    case Method::kVmware:
      return times(labelled(*text, "current"), kHostPageBytes);
    case Method::kHyperv:
      return times(labelled(*text, "pages_ballooned"),
                   labelled(*text, "page_size").value_or(kHostPageBytes));
    case Method::kNone:
      break;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> BalloonMeter::target_bytes() noexcept {
  if (method_ == Method::kVmware) {
    const auto text = files_.front().read();
    return text ? times(labelled(*text, "target"), kHostPageBytes) : std::nullopt;
  }
  if (method_ != Method::kXen) return std::nullopt;
  // Xen's target is the size that the guest keeps: the balloon gets the rest.
  const auto inflated = inflated_bytes();
  const auto current_text = files_[2].read();
  const auto current = current_text ? times(leading_number(*current_text), kKiB) : std::nullopt;
  const auto wanted_text = files_[3].read();
  const auto wanted = wanted_text ? times(leading_number(*wanted_text), kKiB) : std::nullopt;
  if (!inflated || !current || !wanted) return std::nullopt;
  if (*wanted > *current) {
    const std::uint64_t smaller = *wanted - *current;
    return *inflated > smaller ? *inflated - smaller : 0;
  }
  const std::uint64_t larger = *current - *wanted;
  if (larger > std::numeric_limits<std::uint64_t>::max() - *inflated) return std::nullopt;
  return *inflated + larger;
}

}  // namespace numapool::platform
