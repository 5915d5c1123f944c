// The core's only exception type: what was tried, on what, what the system said, and what to do.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <string>
#include <utility>

namespace numapool {

// Each kind becomes one Python exception; the table is in bindings/errors.cpp.
enum class ErrorKind {
  kInvalidArgument,  // ValueError
  kNoMemory,         // MemoryError: the machine, cgroup or address space cannot hold the request
  kNodeNotFound,     // NodeNotFoundError
  kPlacement,        // PlacementError: carries bytes_by_node
  kUnsupported,      // UnsupportedError: carries code
  kTopology,         // TopologyError: the machine's files contradict each other
  kBusy,             // BufferError: a view is still exported
  kClosed,           // ValueError: the buffer or pool is closed
  kExhausted,        // PoolExhaustedError: the pool is at max_bytes, or all of the ring is lent
  kSystem,           // OSError: carries code and call
  kInterrupted,      // a signal handler raised; Python's error indicator is already set
};

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}
  Error(ErrorKind kind, std::string message, int code)
      : kind_(kind), message_(std::move(message)), code_(code) {}

  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }
  [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  // The errno (or GetLastError value) behind kSystem and kUnsupported; 0 if there is none.
  [[nodiscard]] int code() const noexcept { return code_; }

  // kPlacement only: the bytes that were on each node before they were freed.
  std::map<int, std::uint64_t> bytes_by_node;

 private:
  ErrorKind kind_;
  std::string message_;
  int code_ = 0;
};

}  // namespace numapool
