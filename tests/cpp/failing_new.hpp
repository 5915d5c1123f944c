// Makes one `new` of this thread fail: what runs out of the program's own memory.
#pragma once

namespace numapool {

// While it lives, the k-th allocation by `new` of this thread (from 1) throws std::bad_alloc.
class FailingNew {
 public:
  explicit FailingNew(int k) noexcept;
  ~FailingNew();
  FailingNew(const FailingNew&) = delete;
  FailingNew& operator=(const FailingNew&) = delete;
  // Whether there were that many.
  [[nodiscard]] bool failed() const noexcept;
};

}  // namespace numapool
