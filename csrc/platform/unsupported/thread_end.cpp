// A call in which the calling thread may be ended, by the unwinder of the C++ library.
#include "platform/thread_end.hpp"

namespace numapool::platform {

void call_or_sleep(void (*call)(void*), void* argument) {
  SleepIfUnfinished guard;
  call(argument);
  guard.finish();
}

}  // namespace numapool::platform
