// What the engines of read_many() share: which request is next, and what came of each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "numapool/read_many.hpp"

namespace numapool {

// Not thread-safe.
class ReadList {
 public:
  explicit ReadList(std::span<const ReadRequest> requests)
      : requests_(requests), end_(requests.size()) {}

  // Requests are handed out in order, so that all before one that failed are served.
  [[nodiscard]] bool has_next() const noexcept { return next_ < end_; }
  [[nodiscard]] std::size_t next() noexcept { return next_++; }
  [[nodiscard]] const ReadRequest& operator[](std::size_t index) const noexcept {
    return requests_[index];
  }
  // Whether a request still counts: one before it may have failed meanwhile.
  [[nodiscard]] bool counts(std::size_t index) const noexcept { return index < end_; }

  void add(std::size_t index, Transfer&& done) {
    result_.bytes += done.bytes;
    result_.direct_bytes += done.direct_bytes;
    result_.misplaced = result_.misplaced || done.misplaced;
    if (done.failure) {
      if (!counts(index)) return;
      end_ = index;
      result_.failed_index = index;
      result_.failed_offset = requests_[index].offset + done.bytes;
      result_.failure = std::move(done.failure);
    } else if (done.bytes < requests_[index].piece.length) {
      result_.short_reads.push_back({index, done.bytes});
    }
  }
  [[nodiscard]] ManyReads take(ReadEngine engine) {
    std::sort(result_.short_reads.begin(), result_.short_reads.end(),
              [](const ShortRead& a, const ShortRead& b) { return a.index < b.index; });
    result_.engine = engine;
    return std::move(result_);
  }

 private:
  std::span<const ReadRequest> requests_;
  std::size_t next_ = 0;
  std::size_t end_;  // none from here on is started
  ManyReads result_;
};

// The engines. Each serves the list to its end, or to a request that failed.
void read_by_caller(const File& file, ReadList& list, const InterruptCheck& check);
void read_by_threads(const File& file, ReadList& list, std::uint32_t threads,
                     const InterruptCheck& check);
// `queue` is for `depth` reads of this file.
void read_by_queue(const File& file, ReadList& list, std::unique_ptr<platform::ReadQueue> queue,
                   std::uint32_t depth, const InterruptCheck& check);

}  // namespace numapool
