// numapool._core.PoolBase: the hand-made base of BufferPool, with the fast acquire().
//
// Hand-made because acquire and close together cost less this way than pybind11's dispatch alone.
#include "buffer_pool.hpp"

#include <pybind11/pybind11.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "arguments.hpp"
#include "errors.hpp"
#include "interrupt.hpp"
#include "node_buffer.hpp"
#include "python_call.hpp"
#include "record.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

constexpr std::size_t kZeroUnderGil = std::size_t{256} << 10;  // clearing more takes longer than a
                                                               // switch

constexpr std::size_t kFewNodes = 32;

// The set of nodes that a pool was asked for last, and its ids: a loop asks for the same one, which
// cannot change. The GIL guards it.
struct LastSet {
  PyObject* set;
  std::size_t count;
  std::array<int, kFewNodes> ids;
};

struct PoolBase {
  PyObject_HEAD Pool* pool;
  bool zero_on_reuse;
  LastSet last;
};

PyTypeObject* pool_type = nullptr;

PoolBase* as_pool(PyObject* object) noexcept { return reinterpret_cast<PoolBase*>(object); }

struct Arguments {
  PoolBase* pool = nullptr;
  std::size_t size_bytes = 0;
  int node = -1;  // the calling thread's, unless there are several
  std::size_t few_count = 0;
  std::array<int, kFewNodes> few;  // NOLINT: of several nodes the first `few_count` are set
  std::vector<int> many;           // several nodes that are more than these
  [[nodiscard]] std::span<const int> several() const noexcept {
    return many.empty() ? std::span<const int>(few.data(), few_count) : std::span<const int>(many);
  }
  bool strict = false;
  bool block = false;
  std::optional<double> timeout_s;
};

// -1 with an error set. An exception raised by the argument's own code is passed on unchanged.
int refuse_type(const char* name, const char* takes, PyObject* object) noexcept {
  if (PyErr_ExceptionMatches(PyExc_TypeError) != 0)
    refuse_argument(PyExc_TypeError, name, takes, object);
  return -1;
}

// -1 with an error set: what NumaAllocator.allocate() says of such sizes.
int read_size(PyObject* object, std::size_t& size) noexcept {
  if (PyLong_CheckExact(object) != 0) {  // most often
    int overflow = 0;
    const long long plain = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow == 0 && plain > 0 && plain < PY_SSIZE_T_MAX) {
      size = static_cast<std::size_t>(plain);
      return 0;
    }
  }
  if (PyUnicode_Check(object)) {
    PyObject* const bytes = read_by_python("size", "size_bytes", object);
    if (bytes == nullptr) return -1;
    const int read = read_size(bytes, size);
    Py_DECREF(bytes);
    return read;
  }
  const Py_ssize_t value = PyNumber_AsSsize_t(object, nullptr);  // clips
  if (value == -1 && PyErr_Occurred() != nullptr) return refuse_type("size_bytes", kBytes, object);
  if (value <= 0) {
    refuse_argument(PyExc_ValueError, "size_bytes", "at least 1", object);
    return -1;
  }
  if (value == PY_SSIZE_T_MAX) {
    PyErr_Format(PyExc_MemoryError, "cannot allocate %S bytes: no address space holds that much",
                 object);
    return -1;
  }
  size = static_cast<std::size_t>(value);
  return 0;
}

// An id that no node can have becomes INT_MAX.
int id_of(Py_ssize_t value) noexcept {
  return value < 0 || value > INT_MAX ? INT_MAX : static_cast<int>(value);
}

void take_few(std::size_t count, Arguments& out) noexcept {
  if (count == 1) {
    out.node = out.few[0];
  } else {
    out.few_count = count;
  }
}

#ifdef Py_GIL_DISABLED
bool read_last(PyObject*, Arguments&) noexcept { return false; }
void remember(PyObject*, std::size_t, const Arguments&) noexcept {}
#else
bool read_last(PyObject* object, Arguments& out) noexcept {
  const LastSet& last = out.pool->last;
  if (last.set != object) return false;
  std::copy_n(last.ids.begin(), last.count, out.few.begin());
  take_few(last.count, out);
  return true;
}

// An object with attributes may hold a reference to the pool: the two would keep each other alive.
void remember(PyObject* object, std::size_t count, const Arguments& arguments) noexcept {
  if (Py_TYPE(object)->tp_dictoffset != 0) return;
  LastSet& last = arguments.pool->last;
  Py_INCREF(object);
  PyObject* const former = std::exchange(last.set, object);
  last.count = count;
  std::copy_n(arguments.few.begin(), count, last.ids.begin());
  Py_XDECREF(former);
}
#endif

// The ids of a NodeSet, in any order, without calling Python. False where it has others than a few,
// or an error is set.
bool read_few(PyObject* object, Arguments& out) noexcept {
  if (read_last(object, out)) return true;
  PyObject* const iterator = PyFrozenSet_Type.tp_iter(object);
  if (iterator == nullptr) return false;
  std::size_t count = 0;
  bool good = true;
  while (PyObject* const item = good ? Py_TYPE(iterator)->tp_iternext(iterator) : nullptr) {
    good = count < kFewNodes && PyLong_CheckExact(item) != 0;
    if (good) out.few[count++] = id_of(PyNumber_AsSsize_t(item, nullptr));
    Py_DECREF(item);
  }
  Py_DECREF(iterator);
  if (!good || count == 0 || PyErr_Occurred() != nullptr) return false;
  remember(object, count, out);
  take_few(count, out);
  return true;
}

int read_listed(PyObject* ids, Arguments& out) noexcept {
  return guarded(-1, [&] {
    const Py_ssize_t count = PyList_GET_SIZE(ids);
    for (Py_ssize_t i = 0; i < count && count > 1; ++i)
      out.many.push_back(id_of(PyNumber_AsSsize_t(PyList_GET_ITEM(ids, i), nullptr)));
    if (count == 1) out.node = id_of(PyNumber_AsSsize_t(PyList_GET_ITEM(ids, 0), nullptr));
    return 0;
  });
}

int read_nodes(PyObject* object, Arguments& out) noexcept {
  if (object == Py_None) return 0;
  if (PyLong_CheckExact(object) != 0) {  // most often; too large a number is clipped
    int overflow = 0;
    const long value = PyLong_AsLongAndOverflow(object, &overflow);
    out.node = overflow != 0 ? INT_MAX : id_of(value);
    return 0;
  }
  if (PyIndex_Check(object) != 0) {
    const Py_ssize_t value = PyNumber_AsSsize_t(object, nullptr);
    if (value != -1 || PyErr_Occurred() == nullptr) {
      out.node = id_of(value);
      return 0;
    }
    // An array of NumPy says that it is an integer, and may hold several.
    if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) return -1;
    PyErr_Clear();
  } else if (PyFrozenSet_Check(object) != 0) {
    if (read_few(object, out)) return 0;
    if (PyErr_Occurred() != nullptr) return -1;
  }
  PyObject* const ids = nodes_by_python("node", object);
  if (ids == nullptr) return -1;
  const int read = read_listed(ids, out);
  Py_DECREF(ids);
  return read;
}

int read_option(const char* name, PyObject* value, Arguments& out) noexcept {
  if (std::strcmp(name, "size_bytes") == 0) return read_size(value, out.size_bytes);
  if (std::strcmp(name, "node") == 0) return read_nodes(value, out);
  if (std::strcmp(name, "timeout_s") == 0) {
    if (value == Py_None) return 0;
    return read_wait(name, value, out.timeout_s.emplace()) ? 0 : -1;
  }
  bool* flag = nullptr;
  if (std::strcmp(name, "strict") == 0) flag = &out.strict;
  if (std::strcmp(name, "block") == 0) flag = &out.block;
  if (flag == nullptr) {
    PyErr_Format(PyExc_TypeError, "acquire() got an unexpected keyword argument '%s'", name);
    return -1;
  }
  return read_flag(name, value, *flag) ? 0 : -1;
}

// acquire(size_bytes, node=None, *, strict=False, block=False, timeout_s=None)
int parse(PyObject* const* values, Py_ssize_t count, PyObject* names, Arguments& out) noexcept {
  if (count > 2) {
    PyErr_Format(PyExc_TypeError, "acquire() takes 2 positional arguments at most, not %zd", count);
    return -1;
  }
  if (count > 0 && read_size(values[0], out.size_bytes) != 0) return -1;
  if (count > 1 && read_nodes(values[1], out) != 0) return -1;
  const Py_ssize_t named = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  for (Py_ssize_t i = 0; i < named; ++i) {
    const char* const name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i));
    if (name == nullptr) return -1;
    const bool twice = (count > 0 && std::strcmp(name, "size_bytes") == 0) ||
                       (count > 1 && std::strcmp(name, "node") == 0);
    if (twice) {
      PyErr_Format(PyExc_TypeError, "acquire() got multiple values for argument '%s'", name);
      return -1;
    }
    if (read_option(name, values[count + i], out) != 0) return -1;
  }
  if (out.size_bytes == 0) {
    PyErr_SetString(PyExc_TypeError, "acquire() is missing the argument 'size_bytes'");
    return -1;
  }
  if (out.timeout_s && !out.block) {
    PyErr_SetString(PyExc_ValueError, "timeout_s must be None without block=True, not a time");
    return -1;
  }
  return 0;
}

std::optional<std::uint64_t> wait_ms(const Arguments& arguments) noexcept {
  if (!arguments.block) return std::nullopt;
  constexpr double kLongest = 1e15;  // 30,000 years
  if (!arguments.timeout_s || *arguments.timeout_s > kLongest)
    return std::numeric_limits<std::uint64_t>::max();
  return static_cast<std::uint64_t>(std::ceil(*arguments.timeout_s * 1000));
}

// By every means, without the GIL.
int acquire_slowly(PoolBase* self, const Arguments& arguments, Lease& lease) noexcept {
  return guarded(-1, [&] {
    Pool& pool = pool_of(reinterpret_cast<PyObject*>(self));
    AcquireRequest request;
    request.size_bytes = arguments.size_bytes;
    if (arguments.node >= 0) request.nodes = arguments.node;
    if (const std::span<const int> several = arguments.several(); !several.empty())
      request.nodes = NodeIds({several.begin(), several.end()});
    request.strict = arguments.strict;
    request.wait_ms = wait_ms(arguments);
    std::vector<Degradation> degradations;
    {
      const WithoutGil released;
      lease = pool.acquire(request, check_signals, [&degradations](const Degradation& one) {
        degradations.push_back(one);
      });
    }
    if (degradations.empty()) return 0;
    try {
      warn_of(degradations);
    } catch (py::error_already_set& error) {
      give_back(lease);
      error.restore();
      return -1;
    }
    return 0;
  });
}

// Has Python log that a pool is exhausted. The error that is set stays, whatever comes of it.
void tell_if_exhausted(PyObject* pool) noexcept {
  sleep_if_ending([pool] {
    py::error_already_set error;
    try {
      if (error.matches(import_module("numapool.base.errors").attr("PoolExhaustedError")))
        call_python(import_module("numapool.pools.pool").attr("_tell_exhausted"),
                    py::make_tuple(py::handle(pool), error.value()));
    } catch (py::error_already_set& failure) {
      failure.discard_as_unraisable("numapool: log that a pool is exhausted");
    }
    error.restore();
  });
}

void zero(const Lease& lease, std::size_t size_bytes) noexcept {
  if (!lease.dirty) return;
  if (size_bytes <= kZeroUnderGil) {
    std::memset(lease.region.address, 0, size_bytes);
  } else {
    const WithoutGil released;
    std::memset(lease.region.address, 0, size_bytes);
  }
}

PyObject* lend(PyObject* object, const Arguments& arguments, bool zeroed) noexcept {
  PoolBase* const self = as_pool(object);
  PyObject* const buffer = unlent_node_buffer(arguments.size_bytes);
  if (buffer == nullptr) return nullptr;
  Lease& lease = lease_of(buffer);
  const std::span<const int> several = arguments.several();
  const bool quick =
      self->pool != nullptr && !arguments.strict &&
      (several.empty() ? self->pool->try_acquire(arguments.size_bytes, arguments.node, lease)
                       : self->pool->try_acquire_near(arguments.size_bytes, several, lease));
  if (!quick && acquire_slowly(self, arguments, lease) != 0) {
    drop_unlent(buffer);
    tell_if_exhausted(object);
    return nullptr;
  }
  if (zeroed) zero(lease, arguments.size_bytes);
  return buffer;
}

PyObject* acquire_with(PyObject* object, PyObject* const* values, Py_ssize_t count, PyObject* names,
                       bool zeroed) noexcept {
  Arguments arguments;
  arguments.pool = as_pool(object);
  if (parse(values, count, names, arguments) != 0) return nullptr;
  return lend(object, arguments, zeroed);
}

PyObject* acquire(PyObject* object, PyObject* const* values, Py_ssize_t count, PyObject* names) {
  return acquire_with(object, values, count, names, as_pool(object)->zero_on_reuse);
}

PyObject* acquire_zeroed(PyObject* object, PyObject* const* values, Py_ssize_t count,
                         PyObject* names) {
  return acquire_with(object, values, count, names, true);
}

// Buffers that are out stay valid: the pool in the core outlives this object for them.
void dealloc(PyObject* object) {
  PoolBase* const self = as_pool(object);
  PyTypeObject* const type = Py_TYPE(object);
  if (self->pool != nullptr) {
    const WithoutGil released;
    self->pool->close();
    self->pool->unpin();
  }
  Py_XDECREF(self->last.set);
  type->tp_free(object);
  Py_DECREF(type);
}

const char* const kAcquire =
    "acquire($self, size_bytes, node=None, *, strict=False, block=False, timeout_s=None)\n--\n\n"
    "Lend a block of at least `size_bytes` on a node; it comes back when the buffer is closed or "
    "dropped.\n\n"
    "Parameters\n----------\n"
    "size_bytes : int\n    Size in bytes, at least 1.\n"
    "node : NodesLike, optional\n    The node; by default that of the calling thread. Of several "
    "nodes, the nearest to the calling\n    thread that has a block, retained or new; a block of "
    "none of them is a spill.\n"
    "strict : bool\n    Every byte on that node, or those nodes, looked at now, or an error.\n"
    "block : bool\n    At max_bytes, wait until a buffer comes back. A size that is larger than "
    "max_bytes is refused at once.\n"
    "timeout_s : float, optional\n    Wait for so many seconds at most.\n\n"
    "Returns\n-------\nNodeBuffer\n    Its contents are whatever an owner before left, unless the "
    "pool has zero_on_reuse.\n\n"
    "Raises\n------\n"
    "PoolExhaustedError\n    The pool holds max_bytes, and nobody gave any back in time.\n"
    "ValueError\n    The pool is closed; a size of 0 or less.\n"
    "NodeNotFoundError, MemoryError, PlacementError, UnsupportedError\n    As for "
    "NumaAllocator.allocate().";

template <class Function>
PyCFunction as_method(Function* function) noexcept {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"acquire", as_method(acquire), METH_FASTCALL | METH_KEYWORDS, kAcquire},
    {"_acquire_zeroed", as_method(acquire_zeroed), METH_FASTCALL | METH_KEYWORDS,
     "As acquire(), with every byte zero."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

int add_pool_type(PyObject* module) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_methods, methods},
      {Py_tp_doc, const_cast<char*>("What BufferPool is built on.")},
      {0, nullptr},
  };
  PyType_Spec spec = {"numapool._core.PoolBase", sizeof(PoolBase), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  PyObject* const type = PyType_FromModuleAndSpec(module, &spec, nullptr);
  if (type == nullptr) return -1;
  pool_type = reinterpret_cast<PyTypeObject*>(type);
  return PyModule_AddObjectRef(module, "PoolBase", type);
}

void set_pool(PyObject* object, Pool* pool, bool zero_on_reuse) {
  if (PyObject_TypeCheck(object, pool_type) == 0 || as_pool(object)->pool != nullptr) {
    pool->close();
    pool->unpin();
    throw Error(ErrorKind::kInvalidArgument, "this pool has been opened before");
  }
  as_pool(object)->zero_on_reuse = zero_on_reuse;
  as_pool(object)->pool = pool;
}

PyObject* buffer_of_lease(const Lease& lease, std::size_t size_bytes, bool zeroed) noexcept {
  if (zeroed) zero(lease, size_bytes);
  return make_node_buffer(lease, size_bytes);
}

bool zeroes_on_reuse(PyObject* object) noexcept { return as_pool(object)->zero_on_reuse; }

PyObject* lend_block(PyObject* pool, std::size_t size_bytes, PyObject* node, bool zeroed) noexcept {
  Arguments arguments;
  arguments.pool = as_pool(pool);
  arguments.size_bytes = size_bytes;
  if (read_nodes(node, arguments) != 0) return nullptr;
  return lend(pool, arguments, zeroed || arguments.pool->zero_on_reuse);
}

Pool& pool_of(PyObject* object) {
  Pool* const pool = PyObject_TypeCheck(object, pool_type) != 0 ? as_pool(object)->pool : nullptr;
  if (pool == nullptr) throw Error(ErrorKind::kClosed, "the pool was never opened");
  return *pool;
}

void warn_of(const std::vector<Degradation>& degradations) {
  if (degradations.empty()) return;
  call_python(import_module("numapool.memory.allocator").attr("_warn_once"),
              py::make_tuple(as_record(degradations), 2));
}

}  // namespace numapool::bindings
