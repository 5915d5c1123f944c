// What tests of streams share: a scripted file, a pool, a stream of the one into blocks of the
// other.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "files.hpp"
#include "numapool/stream.hpp"
#include "pools.hpp"

namespace numapool {

struct Streams : Pools, Files {
  Streams() { Pools::open(); }
  ~Streams() {
    stream.reset();
    // Threads that were not waited for give back what they have, however late.
    while (total().in_use_bytes != 0 || handles() != 0) std::this_thread::yield();
    Pools::close();
    CHECK(platform::fake::live_mappings() == 0);
  }
  static int handles() {
    const std::lock_guard guard(storage().mutex);
    return storage().open_handles;
  }
  // No thread may look at a file while it is made anew.
  platform::fake::StorageFile& file(std::size_t bytes) {
    if (stream) stream->close(kNoInterrupts);
    return Files::file(bytes);
  }
  static void hold_reads(bool hold) {
    const std::lock_guard guard(storage().mutex);
    storage().hold_reads = hold;
    storage().changed.notify_all();
  }
  static void wait_for_held(int reads) {
    std::unique_lock lock(storage().mutex);
    storage().changed.wait(lock, [reads] { return storage().held_reads == reads; });
  }
  Stream& open(const StreamOptions& options) {
    platform::Result<File> opened = File::open("x", {}, [] {});
    REQUIRE(opened.ok());
    stream = Stream::open(std::move(opened).value(), *pool, options, kNoInterrupts, {});
    return *stream;
  }
  static StreamOptions of(std::size_t block_bytes, std::uint32_t depth) {
    StreamOptions out;
    out.block_bytes = block_bytes;
    out.depth = depth;
    return out;
  }
  StreamItem next() { return stream->next(std::nullopt, kNoInterrupts); }
  static std::string text(const StreamItem& item) {
    return {static_cast<const char*>(item.lease.region.address), item.bytes};
  }
  // Reads to the end or a failure, which is the item returned.
  StreamItem drain(std::string& into, std::uint64_t from = 0) {
    while (true) {
      StreamItem item = next();
      if (item.kind != StreamItem::Kind::kBlock) return item;
      REQUIRE(item.offset == from + into.size());
      into += text(item);
      give(item.lease);
    }
  }
  std::unique_ptr<Stream> stream;
};

}  // namespace numapool
