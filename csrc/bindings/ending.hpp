// Keeps a thread that an ending interpreter takes down out of the code around a call.
#pragma once

#include <type_traits>

#include "platform/thread_end.hpp"

namespace numapool::bindings {

// Before Python 3.14, taking the GIL in a daemon thread while the interpreter ends is pthread_exit,
// which glibc does by unwinding: through a noexcept function or pybind11's catch (...) that would
// abort the process, and on its way it would give back objects without the GIL. From 3.14 on such a
// thread sleeps until the process is gone; here it does so everywhere.
//
// Around every call that may take the GIL: those that run Python code do, if only to make an
// object. On Linux a thread that ends elsewhere in our code sleeps too
// (linux/machine/thread_end.cpp).
template <class Call>
auto sleep_if_ending(const Call& call) {
  using Result = decltype(call());
  if constexpr (std::is_void_v<Result>) {
    platform::call_or_sleep([](void* one) { (*static_cast<const Call*>(one))(); },
                            const_cast<void*>(static_cast<const void*>(&call)));
  } else {
    static_assert(std::is_trivial_v<Result>);
    struct State {
      const Call* call;
      Result result;
    } state{&call, Result{}};
    platform::call_or_sleep(
        [](void* one) {
          auto* const it = static_cast<State*>(one);
          it->result = (*it->call)();
        },
        &state);
    return state.result;
  }
}

}  // namespace numapool::bindings
