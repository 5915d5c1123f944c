// NodeBuffer.__dlpack__: the bytes as a tensor of uint8 in the CPU's memory.
//
// The layout of what a capsule holds is DLPack's ABI (dmlc.github.io/dlpack, dlpack.h), the
// method's parameters are those of the Python array API standard (2023.12).
#include "dlpack.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

#include "arguments.hpp"
#include "errors.hpp"
#include "interrupt.hpp"
#include "node_buffer.hpp"
#include "numapool/allocator.hpp"
#include "without_gil.hpp"

namespace numapool::bindings {
namespace {

constexpr std::int32_t kCpu = 1;
constexpr std::uint8_t kUnsignedInteger = 1;
constexpr std::uint64_t kIsCopied = 2;

struct Device {
  std::int32_t type;
  std::int32_t id;
};

struct DataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  std::int32_t dimensions;
  DataType type;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements
  std::uint64_t byte_offset;
};

struct Managed {  // before DLPack 1.0
  static constexpr const char* kName = "dltensor";
  Tensor tensor;
  void* context;
  void (*deleter)(Managed*);
};

struct ManagedVersioned {
  static constexpr const char* kName = "dltensor_versioned";
  std::uint32_t major;
  std::uint32_t minor;
  void* context;
  void (*deleter)(ManagedVersioned*);
  std::uint64_t flags;
  Tensor tensor;
};

// What the consumer gets, and what keeps the memory alive, in one allocation.
template <class Abi>
struct Export {
  Abi abi{};
  std::int64_t shape = 0;
  std::int64_t stride = 1;
  PyObject* buffer = nullptr;  // with a view of it
};

bool interpreter_is_there() noexcept {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsInitialized() != 0 && Py_IsFinalizing() == 0;
#else
  return Py_IsInitialized() != 0 && _Py_IsFinalizing() == 0;
#endif
}

// From any thread, with the GIL or without. Past the interpreter's end the memory stays: the
// process is about to give back all it has.
template <class Abi>
void delete_export(Abi* abi) noexcept {
  auto* const self = static_cast<Export<Abi>*>(abi->context);
  if (!interpreter_is_there()) return;
  PyGILState_STATE state{};
  take_gil_or_sleep([&state] { state = PyGILState_Ensure(); });
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);  // a deleter may run while an exception is on its way
  drop_view(self->buffer);
  Py_DECREF(self->buffer);
  delete self;
  PyErr_Restore(type, value, traceback);
  PyGILState_Release(state);
}

// A capsule that was not consumed still has its first name.
template <class Abi>
void drop_capsule(PyObject* capsule) noexcept {
  if (PyCapsule_IsValid(capsule, Abi::kName) == 0) return;
  auto* const abi = static_cast<Abi*>(PyCapsule_GetPointer(capsule, Abi::kName));
  abi->deleter(abi);
}

// Takes over a reference to `buffer` and a view of it.
template <class Abi>
PyObject* make_capsule(PyObject* buffer, bool copied) noexcept {
  auto* const made = new (std::nothrow) Export<Abi>;
  if (made == nullptr) {
    drop_view(buffer);
    Py_DECREF(buffer);
    return PyErr_NoMemory();
  }
  const Held held = held_memory(buffer);
  made->buffer = buffer;
  made->shape = static_cast<std::int64_t>(held.size_bytes);
  made->abi.context = made;
  made->abi.deleter = delete_export<Abi>;
  made->abi.tensor = {held.region.address, {kCpu, 0},     1, {kUnsignedInteger, 8, 1},
                      &made->shape,        &made->stride, 0};
  if constexpr (requires { made->abi.flags; }) {
    made->abi.major = 1;
    made->abi.minor = 0;
    made->abi.flags = copied ? kIsCopied : 0;
  }
  PyObject* const capsule = PyCapsule_New(&made->abi, Abi::kName, drop_capsule<Abi>);
  if (capsule == nullptr) delete_export(&made->abi);
  return capsule;
}

// A new buffer with the bytes of this one, on the node where this one was placed.
PyObject* copy_of(PyObject* buffer) noexcept {
  const Held held = held_memory(buffer);
  return guarded(static_cast<PyObject*>(nullptr), [&held] {
    Allocation made;
    {
      const WithoutGil released;
      AllocationRequest request;
      request.size_bytes = held.size_bytes;
      if (held.node_id) request.nodes = *held.node_id;
      made = Allocator().allocate(request, check_signals);
      std::memcpy(made.block.mapping.address(), held.region.address, held.size_bytes);
    }
    return make_node_buffer(std::move(made.block));
  });
}

struct Request {
  bool versioned = false;
  bool copy = false;
};

// (a, b) as two numbers; nothing, with an error set, if it is not such a pair.
std::optional<std::pair<long, long>> pair_of(PyObject* object, const char* name) noexcept {
  if (!PyTuple_Check(object) || PyTuple_GET_SIZE(object) != 2) {
    refuse_argument(PyExc_TypeError, name, "a tuple of two integers", object);
    return std::nullopt;
  }
  std::array<long, 2> values{};
  for (std::size_t i = 0; i < 2; ++i) {
    values[i] = PyLong_AsLong(PyTuple_GET_ITEM(object, static_cast<Py_ssize_t>(i)));
    if (values[i] != -1 || PyErr_Occurred() == nullptr) continue;
    const bool large = PyErr_ExceptionMatches(PyExc_OverflowError) != 0;
    refuse_argument(large ? PyExc_ValueError : PyExc_TypeError, name, "a tuple of two integers",
                    object);
    return std::nullopt;
  }
  return std::pair{values[0], values[1]};
}

bool read_argument(Request& request, PyObject* name, PyObject* value) noexcept {
  const char* const text = PyUnicode_AsUTF8(name);
  if (text == nullptr) return false;
  const std::string_view key(text);
  if (key != "stream" && key != "max_version" && key != "dl_device" && key != "copy") {
    PyErr_Format(PyExc_TypeError, "__dlpack__() got an unexpected keyword argument '%U'", name);
    return false;
  }
  if (Py_IsNone(value)) return true;
  if (key == "stream") {
    PyErr_SetString(PyExc_BufferError, "memory of the CPU has no streams: stream must be None");
    return false;
  }
  if (key == "copy") {
    return read_flag("copy", value, request.copy);
  }
  const auto pair = pair_of(value, text);
  if (!pair) return false;
  if (key == "max_version") {
    request.versioned = pair->first >= 1;
  } else if (*pair != std::pair<long, long>{kCpu, 0}) {
    PyErr_Format(
        PyExc_BufferError,
        "the buffer is in the CPU's memory, dl_device (1, 0), and cannot be exported to %R", value);
    return false;
  }
  return true;
}

}  // namespace

PyObject* dlpack(PyObject* buffer, PyObject* const* arguments, Py_ssize_t count,
                 PyObject* names) noexcept {
  if (count != 0) {
    PyErr_SetString(PyExc_TypeError, "__dlpack__() takes keyword arguments only");
    return nullptr;
  }
  Request request;
  const Py_ssize_t named = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  for (Py_ssize_t i = 0; i < named; ++i) {
    if (!read_argument(request, PyTuple_GET_ITEM(names, i), arguments[i])) return nullptr;
  }
  if (!add_view(buffer)) return nullptr;
  PyObject* exported = Py_NewRef(buffer);
  if (request.copy) {
    exported = copy_of(buffer);
    drop_view(buffer);
    Py_DECREF(buffer);
    if (exported == nullptr) return nullptr;
    if (!add_view(exported)) return nullptr;  // never an invalid pointer: the name is ours alone
  }
  return request.versioned ? make_capsule<ManagedVersioned>(exported, request.copy)
                           : make_capsule<Managed>(exported, request.copy);
}

PyObject* dlpack_device(PyObject*, PyObject*) noexcept {
  return Py_BuildValue("(ii)", static_cast<int>(kCpu), 0);
}

}  // namespace numapool::bindings
