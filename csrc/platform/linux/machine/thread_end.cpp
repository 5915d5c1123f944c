// A thread that is ended in our code stays there: nothing of ours is unwound.
#include "platform/thread_end.hpp"

#include <unistd.h>

#ifdef __LP64__
#include <unwind.h>

// glibc ends a thread by unwinding its stack: a forced unwinding, which no catch ends. Each frame
// with something to clean up is asked by its language's personality routine. For C++ that would
//  - run destructors, in a thread of Python's without the GIL;
//  - end the process at a noexcept function;
//  - crash, if the module links another unwinder than libgcc's, which glibc uses: LLVM's, in wheels
//    that zig links, cannot read the other's data.
// The linker puts this routine in front of the C++ library's (--wrap, csrc/targets.cmake). A thread
// whose end comes to the first such frame sleeps there until the process is gone, whatever code was
// on the way: pybind11's runs Python code too, as it reads an enum argument's value.
extern "C" {

_Unwind_Reason_Code __real___gxx_personality_v0(int version, _Unwind_Action actions,
                                                _Unwind_Exception_Class kind,
                                                _Unwind_Exception* exception,
                                                _Unwind_Context* context);

__attribute__((visibility("hidden"))) _Unwind_Reason_Code
__wrap___gxx_personality_v0(int version, _Unwind_Action actions, _Unwind_Exception_Class kind,
                            _Unwind_Exception* exception, _Unwind_Context* context) {
  // No function of the unwinder may be called: it may not be the one that calls.
  while ((static_cast<int>(actions) & _UA_FORCE_UNWIND) != 0) pause();
  return __real___gxx_personality_v0(version, actions, kind, exception, context);
}
}
#endif

namespace numapool::platform {

void call_or_sleep(void (*call)(void*), void* argument) {
  SleepIfUnfinished guard;
  call(argument);
  guard.finish();
}

}  // namespace numapool::platform
