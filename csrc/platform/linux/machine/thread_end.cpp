// A call in which the calling thread may be ended.
#include "platform/thread_end.hpp"

#include <features.h>
#include <pthread.h>
#include <setjmp.h>
#include <unistd.h>

namespace numapool::platform {

#if defined(__GLIBC__) && !defined(__GLIBCXX__)

// glibc ends a thread by unwinding its stack with libgcc's unwinder, which libstdc++ uses too. With
// another C++ library (libc++ with LLVM's unwinder, as in wheels that zig links) the first frame of
// C++ that has something to clean up would be asked by the one unwinder about the other's data: a
// segmentation fault. A cleanup handler of C is told before that: pthread_cleanup_push() of a C
// compiler is made of these calls, which glibc keeps for the programs that have it compiled in.
// Before each frame is unwound glibc looks whether a handler's is reached (nptl/unwind.c), and
// jumps there.
extern "C" {
void __pthread_register_cancel(__pthread_unwind_buf_t*) __cleanup_fct_attribute;
void __pthread_unregister_cancel(__pthread_unwind_buf_t*) __cleanup_fct_attribute;
}

namespace {

struct Registered {
  explicit Registered(__pthread_unwind_buf_t* buffer) noexcept : buffer(buffer) {
    __pthread_register_cancel(buffer);
  }
  ~Registered() { __pthread_unregister_cancel(buffer); }
  Registered(const Registered&) = delete;
  Registered& operator=(const Registered&) = delete;
  __pthread_unwind_buf_t* buffer;
};

}  // namespace

void call_or_sleep(void (*call)(void*), void* argument) {
  __pthread_unwind_buf_t buffer;
  static_assert(sizeof(buffer.__cancel_jmp_buf) <= sizeof(jmp_buf));
  auto* const here = reinterpret_cast<__jmp_buf_tag*>(buffer.__cancel_jmp_buf);
  if (__sigsetjmp(here, 0) != 0) {
    while (true) pause();
  }
  const Registered registered(&buffer);
  call(argument);
}

#else

void call_or_sleep(void (*call)(void*), void* argument) {
  SleepIfUnfinished guard;
  call(argument);
  guard.finish();
}

#endif

}  // namespace numapool::platform
