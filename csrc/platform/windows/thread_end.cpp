// A call in which the calling thread may be ended: nothing is unwound here, and nothing to be done.
#include "platform/thread_end.hpp"

namespace numapool::platform {

void call_or_sleep(void (*call)(void*), void* argument) { call(argument); }

}  // namespace numapool::platform
