// What every platform function returns: a value, or the call that failed and why.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace numapool::platform {

// The operating system's answer, reduced to what the core's decisions need.
enum class Cause {
  kOther,
  kUnsupported,     // the call does not exist here (ENOSYS, EOPNOTSUPP)
  kRefused,         // the call exists, but is not allowed (EPERM, EACCES)
  kNoMemory,        // ENOMEM
  kInvalid,         // EINVAL: of mbind, a node that is offline, without memory or not allowed
  kPartial,         // EIO of mbind(MPOL_MF_STRICT): some pages stayed where they were
  kUnintelligible,  // a system file makes no sense: `call` is the file, `detail` its contents
};

// `call` is the name of the system call or file operation as in the manual. `code` is errno; on
// Windows it is the nearest equivalent, and `detail` has the system's own number and words.
// `detail` also names the object (a path, a node, a length).
struct Failure {
  Cause cause = Cause::kOther;
  std::string call;
  int code = 0;
  std::string detail;
};

// "mbind(node 3): Operation not permitted". Implemented in src/memory/failure_text.cpp for all
// platforms.
[[nodiscard]] std::string describe(const Failure& failure);

// True if the system has no such call or does not allow it, as in many containers.
[[nodiscard]] inline bool is_denied(const Failure& failure) noexcept {
  return failure.cause == Cause::kUnsupported || failure.cause == Cause::kRefused;
}

// True if the system cannot do it at all, as opposed to a call that is not allowed here.
[[nodiscard]] inline bool is_no_job(const Failure& failure) noexcept {
  return failure.cause == Cause::kUnsupported && failure.code == 0;
}

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Result(Failure failure)                                    // NOLINT: implicit by design
      : state_(std::in_place_index<1>, std::move(failure)) {}
  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }
  [[nodiscard]] T& value() & { return std::get<0>(state_); }
  [[nodiscard]] const T& value() const& { return std::get<0>(state_); }
  [[nodiscard]] T&& value() && { return std::get<0>(std::move(state_)); }
  [[nodiscard]] const Failure& failure() const { return std::get<1>(state_); }

 private:
  std::variant<T, Failure> state_;
};

struct Done {};  // the value of a call that returns nothing
using Status = Result<Done>;

}  // namespace numapool::platform
