// Opens streams: decides on the number and place of blocks and threads.
#include "numapool/stream.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "numapool/error.hpp"
#include "stream/stream_state.hpp"

namespace numapool {
namespace {

class StreamImpl final : public Stream {
 public:
  explicit StreamImpl(std::shared_ptr<StreamState> state) : state_(std::move(state)) {}
  ~StreamImpl() override { state_->stop(); }
  StreamImpl(const StreamImpl&) = delete;
  StreamImpl& operator=(const StreamImpl&) = delete;

  std::optional<StreamItem> try_next() override { return state_->try_next(); }
  StreamItem next(std::optional<std::uint64_t> starved_ms, const InterruptCheck& check) override {
    StreamItem item = state_->next(starved_ms, check);
    // The threads find nothing to read, and the last one closes the file.
    if (item.kind == StreamItem::Kind::kEnd) state_->wait_for_threads(check);
    return item;
  }
  std::optional<StreamItem> poll() override {
    std::optional<StreamItem> item = state_->poll();
    if (item && item->kind == StreamItem::Kind::kEnd) state_->wait_for_threads([] {});
    return item;
  }
  int descriptor() override { return state_->descriptor(); }
  bool starved() const override { return state_->starved(); }
  void close(const InterruptCheck& check) override {
    state_->stop();
    state_->wait_for_threads(check);
  }
  bool closed() const override { return state_->closed(); }
  Figures figures() const override { return state_->figures(); }

 private:
  std::shared_ptr<StreamState> state_;
};

// How many blocks the stream can use at once, judged by the file's size.
std::uint32_t blocks_for(const File& file, const StreamOptions& options) {
  const std::uint64_t held =
      file.size_bytes() > options.offset ? file.size_bytes() - options.offset : 0;
  const std::uint64_t wanted = std::min(held, options.size.value_or(held));
  const std::uint64_t blocks = wanted / options.block_bytes + 2;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(blocks, options.depth + 1));
}

}  // namespace

std::unique_ptr<Stream> Stream::open(File&& file, Pool& pool, const StreamOptions& options,
                                     const InterruptCheck& check, const Pool::Degraded& degraded) {
  if (options.block_bytes == 0 || options.depth == 0)
    throw Error(ErrorKind::kInvalidArgument, "block_bytes and depth must be at least 1");
  const std::size_t page = platform::base_page_bytes();
  const std::uint32_t count = blocks_for(file, options);
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max() / 2;
  if (options.block_bytes > kMost / count - page) {
    throw Error(ErrorKind::kNoMemory, "a stream of " + std::to_string(count) + " blocks of " +
                                          std::to_string(options.block_bytes) +
                                          " bytes: no address space holds that much");
  }
  const std::size_t stride = (options.block_bytes + page - 1) / page * page;
  Allocation allocation = pool.take_fixed(stride * count, options.nodes, options.strict, check);
  std::shared_ptr<StreamState> state;
  try {
    if (degraded) {
      for (const Degradation& one : allocation.degradations) degraded(one);
    }
    state = std::make_shared<StreamState>(std::move(file), pool, std::move(allocation.block),
                                          stride, count, options);
  } catch (...) {
    pool.drop_fixed(std::move(allocation.block));
    throw;
  }
  auto stream = std::make_unique<StreamImpl>(state);
  state->start(std::min(options.depth, count), options.cpus);
  return stream;
}

}  // namespace numapool
