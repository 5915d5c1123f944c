// Chooses how many reads are made: by the system's queue, by threads, or by the caller alone.
#include "numapool/read_many.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "stream/many_reads.hpp"
#include "stream/transfer_cursor.hpp"

namespace numapool {
namespace {

constexpr std::uint32_t kMostReadThreads = 32;  // more cost more than they gain

std::string reason_of(const platform::Failure& failure) {
  if (platform::is_no_job(failure)) return "this system has no queue of reads";
  return describe(failure);
}

}  // namespace

ManyReads read_many(const File& file, std::span<const ReadRequest> requests, std::uint32_t depth,
                    const InterruptCheck& check) {
  ReadList list(requests);
  const auto most = static_cast<std::uint32_t>(std::min<std::size_t>(depth, requests.size()));
  // The size is unknown of files that may wait for something else than a disk, such as terminals:
  // a signal must end that, which reaches the caller only.
  if (most <= 1 || file.size_bytes() == 0) {
    read_by_caller(file, list, check);
    return list.take(ReadEngine::kCaller);
  }
  platform::Result<std::unique_ptr<platform::ReadQueue>> queue =
      platform::open_read_queue(&file.opened(), most);
  if (queue) {
    read_by_queue(file, list, std::move(queue).value(), most, check);
    return list.take(ReadEngine::kQueue);
  }
  read_by_threads(file, list, std::min(most, kMostReadThreads), check);
  ManyReads done = list.take(ReadEngine::kThreads);
  done.why_no_queue = reason_of(queue.failure());
  return done;
}

std::string why_no_read_queue() {
  const auto queue = platform::open_read_queue(nullptr, 1);
  return queue ? std::string() : reason_of(queue.failure());
}

void read_by_caller(const File& file, ReadList& list, const InterruptCheck& check) {
  std::size_t unchecked = 0;
  while (list.has_next()) {
    const std::size_t index = list.next();
    const ReadRequest& request = list[index];
    unchecked += request.piece.length + 4096;
    if (unchecked > kTransferChunk) {
      check();
      unchecked = 0;
    }
    list.add(index, file.read({&request.piece, 1}, request.offset, check));
  }
}

}  // namespace numapool
