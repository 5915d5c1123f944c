// The files of the scripted machine: their contents, and their failures.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "platform/storage.hpp"

namespace numapool::platform::fake {

struct StorageFile {
  std::string bytes;
  bool direct = true;
  std::size_t memory_align = 512;
  std::size_t transfer_align = 512;

  int open_code = 0;                              // every open fails so
  std::function<void(StorageFile&)> before_open;  // as `before`, of opening
  std::map<std::uint64_t, int>
      bad;                       // a transfer stops before this byte; one that begins there fails
  std::size_t most_bytes = 0;    // that one call transfers; 0: all
  int interrupts = 0;            // so many calls are interrupted first
  bool refuses_direct = false;   // although the file allowed it when it was opened
  std::uint64_t room = 1 << 30;  // ENOSPC from here on
  int sync_code = 0;
  int sync_interrupts = 0;  // so many calls of sync are interrupted first
  int close_code = 0;
  // Runs before each transfer, under the script's mutex: for what happens meanwhile.
  std::function<void(StorageFile&, std::uint64_t offset)> before;
};

struct StorageCall {
  bool write = false;
  bool direct = false;
  std::uint64_t offset = 0;
  std::size_t asked = 0;
  std::size_t done = 0;
};

struct StorageScript {
  std::mutex mutex;  // threads of streams read while a test looks
  std::condition_variable changed;
  std::map<std::string, StorageFile> files;
  std::vector<StorageCall> calls;
  int open_handles = 0;
  int misuses = 0;          // direct calls that are not aligned, handles that are not open
  bool hold_reads = false;  // reads wait until it is false again
  int held_reads = 0;       // that wait

  // Queues of reads. Answers come in no order, several at a time.
  int queue_code = 0;  // no queue can be opened: why
  int open_queues = 0;
  std::uint32_t queue_seed = 1;
  std::map<int, int> queue_refusals;  // the k-th read of queues, from 1, is refused so
  int queued_reads = 0;               // how many there were
  int queue_interrupts = 0;           // so many waits are interrupted first
};

[[nodiscard]] StorageScript& storage_script();
void reset_storage();

}  // namespace numapool::platform::fake
