// Whole transfers between a file and memory: short transfers are continued, and aligned stretches
// bypass the page cache.
#include "numapool/storage.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <thread>
#include <utility>

#include "stream/direct_gate.hpp"
#include "stream/transfer_steps.hpp"

namespace numapool {
namespace {

using platform::IoEnd;
using platform::IoResult;
using platform::Piece;

// Between attempts to open a file on which another process has a lease.
constexpr std::chrono::milliseconds kLongestPause{50};

}  // namespace

platform::Result<File> File::open(const std::string& path, const platform::FileRequest& request,
                                  const InterruptCheck& check) {
  std::chrono::milliseconds pause{1};
  while (true) {
    platform::Result<platform::OpenedFile> opened = platform::open_file(path, request);
    if (opened) return File(std::move(opened).value());
    const int code = opened.failure().code;
    if (code != EINTR && code != EAGAIN) return opened.failure();
    check();
    if (code == EINTR) continue;
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, kLongestPause);
  }
}

File::File(File&& other) noexcept
    : opened_(std::move(other.opened_)), refused_(other.refused_.load(std::memory_order_relaxed)) {
  other.opened_.handle = platform::kNoFile;
  other.opened_.direct_handle = platform::kNoFile;
}

File::~File() { static_cast<void>(close()); }

std::optional<platform::Failure> File::close() noexcept {
  int code = 0;
  for (platform::FileHandle* const handle : {&opened_.direct_handle, &opened_.handle}) {
    const platform::FileHandle closed = std::exchange(*handle, platform::kNoFile);
    if (closed == platform::kNoFile) continue;
    const int answer = platform::close_handle(closed);
    if (code == 0) code = answer;
  }
  if (code == 0) return std::nullopt;
  return platform::Failure{platform::Cause::kOther, "close", code, {}};
}

std::string File::why_not_direct() const {
  if (!opened_.why_not_direct.empty()) return opened_.why_not_direct;
  if (refused_.load(std::memory_order_relaxed))
    return "the system refused direct I/O of this file, although it is aligned";
  return {};
}

template <class Call>
Transfer File::transfer(const Call& call, const char* name, bool writes,
                        std::span<const Piece> pieces, std::uint64_t offset,
                        std::uint64_t direct_end, const InterruptCheck& check) const {
  TransferSteps steps(opened_, refused_, name, writes, pieces, offset, direct_end);
  bool first = true;
  while (const auto step = steps.next()) {
    if (!first) check();
    first = false;
    steps.take(call(step->direct ? opened_.direct_handle : opened_.handle, step->parts,
                    step->offset, step->direct));
  }
  return std::move(steps.outcome());
}

Transfer File::read(std::span<const Piece> pieces, std::uint64_t offset,
                    const InterruptCheck& check) const {
  const auto call = [](platform::FileHandle handle, std::span<const Piece> parts, std::uint64_t at,
                       bool direct) {
    if (!direct) return platform::read_at(handle, parts, at);
    const DirectRead gate;
    return platform::read_at(handle, parts, at);
  };
  return transfer(call, "preadv", false, pieces, offset, direct_read_end(), check);
}

Transfer File::write(std::span<const Piece> pieces, std::uint64_t offset, bool sync,
                     const InterruptCheck& check) const {
  const auto call = [](platform::FileHandle handle, std::span<const Piece> parts, std::uint64_t at,
                       bool) {
    IoResult result = platform::write_at(handle, parts, at);
    // A system that transfers nothing and gives no reason would make this loop endless.
    if (result.end == IoEnd::kDone && result.bytes == 0) return IoResult{0, IoEnd::kFailed, EIO};
    return result;
  };
  constexpr std::uint64_t kAnywhere = std::numeric_limits<std::uint64_t>::max();
  Transfer out = transfer(call, "pwritev", true, pieces, offset, kAnywhere, check);
  if (out.failure || !sync) return out;
  int code = platform::sync_data(opened_.handle);
  while (code == EINTR) {
    check();
    code = platform::sync_data(opened_.handle);
  }
  if (code != 0) {
    out.failure = platform::Failure{platform::Cause::kOther, "fdatasync", code,
                                    "offset " + std::to_string(offset)};
  }
  return out;
}

}  // namespace numapool
