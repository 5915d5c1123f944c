// NumPy's memory handler (NEP 49) over a pool.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "bindings.hpp"
#include "buffer_pool.hpp"
#include "made_once.hpp"
#include "numapool/array_memory.hpp"
#include "numpy_entries.hpp"
#include "python_call.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

// numpy/ndarraytypes.h: PyDataMemAllocator and PyDataMem_Handler, version 1.
struct NumpyAllocator {
  void* context;
  void* (*allocate)(void* context, std::size_t bytes);
  void* (*allocate_zeroed)(void* context, std::size_t count, std::size_t bytes);
  void* (*reallocate)(void* context, void* old, std::size_t bytes);
  void (*free)(void* context, void* old, std::size_t bytes);
};
struct NumpyHandler {
  char name[127];
  std::uint8_t version;
  NumpyAllocator allocator;
};
constexpr const char* kCapsule = "mem_handler";

struct Handlers {
  PyObject* (*set)(PyObject* handler);
  const NumpyHandler* own;
};

Handlers find_handlers() {
  const NumpyEntries& entries = numpy_entries();
  Handlers found{};
  found.set = entries.function<PyObject* (*)(PyObject*)>(NumpyEntry::kSetHandler);
  PyObject* const own = *entries.variable<PyObject*>(NumpyEntry::kDefaultHandler);
  found.own = static_cast<const NumpyHandler*>(PyCapsule_GetPointer(own, kCapsule));
  if (found.own == nullptr) throw py::error_already_set();
  if (found.own->version != 1) {
    throw py::import_error("this NumPy's memory handlers have version " +
                           std::to_string(found.own->version) + ", numapool knows version 1");
  }
  return found;
}

const Handlers& numpy() {
  constinit static MadeOnce<Handlers> found;  // importing NumPy lets other threads run
  return *found.get([] { return std::make_unique<Handlers>(find_handlers()); });
}

// Up to Python 3.11 the current thread state is that of whichever thread has the GIL, so that it is
// compared with this thread's own, as PyGILState_Check() does where no sub-interpreter was made.
bool has_gil() noexcept {
#if PY_VERSION_HEX >= 0x030d0000
  return PyThreadState_GetUnchecked() != nullptr;
#elif PY_VERSION_HEX >= 0x030c0000
  return _PyThreadState_UncheckedGet() != nullptr;
#else
  const PyThreadState* const own = PyGILState_GetThisThreadState();
  return own != nullptr && own == _PyThreadState_UncheckedGet();
#endif
}

void let_others_run(const std::function<void()>& work) {
  if (!has_gil()) return work();
  const WithoutGil released;
  work();
}

// Owned by a capsule. Each array made with the handler holds the capsule, so all of this outlives
// them.
struct Handler {
  NumpyHandler numpy;
  ArrayMemory memory;
  PyObject* pool;  // a pool without users is closed
};

ArrayMemory& memory_of(void* context) noexcept { return *static_cast<ArrayMemory*>(context); }

void drop(PyObject* capsule) {
  auto* const handler = static_cast<Handler*>(PyCapsule_GetContext(capsule));
  PyObject* const pool = handler->pool;
  delete handler;
  Py_DECREF(pool);
}

py::object make_handler(const py::object& base, std::vector<int> nodes, bool strict,
                        bool zero_on_reuse) {
  Pool& pool = pool_of(base.ptr());
  const NumpyAllocator& own = numpy().own->allocator;
  const SmallMemory small{own.context, own.allocate, own.allocate_zeroed, own.reallocate, own.free};
  const ArrayMemoryOptions options{NodeIds(std::move(nodes)), strict, zero_on_reuse};
  auto handler =
      std::unique_ptr<Handler>(new Handler{{}, {pool, options, small, let_others_run}, base.ptr()});
  std::vector<Degradation> degradations;
  {
    const WithoutGil released;
    handler->memory.try_out([&](const Degradation& one) { degradations.push_back(one); });
  }
  warn_of(degradations);
  if (options.nodes.size() == 1) {
    std::snprintf(handler->numpy.name, sizeof handler->numpy.name, "numapool_node%d",
                  options.nodes.ids().front());
  } else {
    std::snprintf(handler->numpy.name, sizeof handler->numpy.name, "numapool");
  }
  handler->numpy.version = 1;
  handler->numpy.allocator = {
      &handler->memory,
      [](void* context, std::size_t bytes) { return memory_of(context).allocate(bytes); },
      [](void* context, std::size_t count, std::size_t bytes) {
        return memory_of(context).allocate_zeroed(count, bytes);
      },
      [](void* context, void* old, std::size_t bytes) {
        return memory_of(context).reallocate(old, bytes);
      },
      [](void* context, void* old, std::size_t bytes) { memory_of(context).free(old, bytes); }};
  PyObject* const capsule = PyCapsule_New(&handler->numpy, kCapsule, drop);
  if (capsule == nullptr) throw py::error_already_set();
  Py_INCREF(base.ptr());
  PyCapsule_SetContext(capsule, handler.release());  // of a capsule just made: cannot fail
  return py::reinterpret_steal<py::object>(capsule);
}

py::object set_handler(const py::object& handler) {
  PyObject* const before = numpy().set(handler.is_none() ? nullptr : handler.ptr());
  if (before == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(before);
}

}  // namespace

void bind_numpy(py::module_& module) {
  module.def("numpy_handler", &make_handler, py::arg("base"), py::arg("nodes"), py::arg("strict"),
             py::arg("zero_on_reuse"));
  module.def("set_numpy_handler", &set_handler, py::arg("handler").none(true));
}

}  // namespace numapool::bindings
