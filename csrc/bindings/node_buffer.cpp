// numapool.NodeBuffer: the hand-made Python type that owns a block and counts the views of it.
//
// Hand-made because pybind11's buffer support cannot count views, so close() could free memory
// under NumPy, and because making and dropping a pybind11 object costs several times as much.
#include "node_buffer.hpp"

#include <structmember.h>

#include <array>
#include <atomic>
#include <climits>
#include <cstdint>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "arguments.hpp"
#include "claims.hpp"
#include "dlpack.hpp"
#include "errors.hpp"
#include "exports.hpp"
#include "interrupt.hpp"
#include "node_buffer_text.hpp"
#include "numapool/allocator.hpp"
#include "plain_array.hpp"
#include "without_gil.hpp"

#if PY_VERSION_HEX < 0x030D0000  // the GIL does it
#define Py_BEGIN_CRITICAL_SECTION(op) {
#define Py_END_CRITICAL_SECTION() }
#endif

namespace numapool::bindings {
namespace {

constexpr std::size_t kReleaseGilBytes = std::size_t{1}
                                         << 20;  // unmapping more takes longer than a switch

struct NodeBuffer {
  PyObject_HEAD PyObject* weak_references;
  Exports exports;
  Lease lease;  // `place` is read and written under the GIL (free-threaded: the object's critical
                // section)
  std::size_t size_bytes;
  bool locked;
  std::atomic<bool> moved;  // its pages were migrated: the keeper must be told
  // An array refers to its memory, and to this object for as long as it needs the memory, but holds
  // no view: np.ndarray(buffer=) releases the view that it takes. So only the last reference may
  // free the memory.
  std::atomic<bool> of_array;
};

// Takes back memory that belongs to no pool: the cookie is the mapping.
class UnmapKeeper final : public Keeper {
 public:
  bool give_back(void* cookie, bool) noexcept override {
    delete static_cast<Mapping*>(cookie);
    return false;
  }
  void tidy() noexcept override {}
};

UnmapKeeper unmap_keeper;

PyTypeObject* node_buffer_type = nullptr;

NodeBuffer* as_buffer(PyObject* object) noexcept { return reinterpret_cast<NodeBuffer*>(object); }

// Nobody can reach the pages any more: the state word says closed and no view is left.
void free_memory(NodeBuffer* self) noexcept {
  const Lease& lease = self->lease;
  if (lease.keeper == &unmap_keeper && lease.region.length >= kReleaseGilBytes) {
    const WithoutGil released;
    delete static_cast<Mapping*>(lease.cookie);
    return;
  }
  if (lease.keeper->give_back(lease.cookie, self->moved.load(std::memory_order_relaxed))) {
    const WithoutGil released;
    lease.keeper->tidy();
  }
}

#ifdef Py_GIL_DISABLED
NodeBuffer* take_spare() noexcept { return nullptr; }
bool keep_spare(NodeBuffer*) noexcept { return false; }
Exports::Close close_now(NodeBuffer* self) noexcept { return self->exports.close(); }
#else
// The memory of a few objects that are gone, for the next ones. The GIL guards it.
struct Spares {
  static constexpr std::size_t kMost = 16;
  std::size_t count = 0;
  std::array<NodeBuffer*, kMost> objects{};
};
Spares spares;

NodeBuffer* take_spare() noexcept {
  return spares.count == 0 ? nullptr : spares.objects[--spares.count];
}

bool keep_spare(NodeBuffer* object) noexcept {
  if (spares.count == Spares::kMost) return false;
  spares.objects[spares.count++] = object;
  return true;
}

// Views are given out under the GIL, which the caller holds.
Exports::Close close_now(NodeBuffer* self) noexcept { return self->exports.close_alone(); }
#endif

NodeBuffer* new_object() noexcept {
  if (NodeBuffer* const spare = take_spare()) {
    static_cast<void>(PyObject_Init(reinterpret_cast<PyObject*>(spare), node_buffer_type));
    return spare;
  }
  return PyObject_New(NodeBuffer, node_buffer_type);
}

void drop_object(NodeBuffer* object) noexcept {
  PyTypeObject* const type = Py_TYPE(object);
  if (!keep_spare(object)) PyObject_Free(object);
  Py_DECREF(type);
}

PyObject* closed_error() noexcept {
  PyErr_SetString(PyExc_ValueError, "the buffer is closed");
  return nullptr;
}

// Keeps the mapping alive, and close() away, while the GIL is released.
class Hold {
 public:
  explicit Hold(NodeBuffer* self) noexcept : self_(self), held_(self->exports.add()) {
    if (!held_) closed_error();
  }
  ~Hold() {
    if (held_ && self_->exports.drop()) free_memory(self_);
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  explicit operator bool() const noexcept { return held_; }

 private:
  NodeBuffer* self_;
  bool held_;
};

// Tells the keeper once pages may have moved, however that ended.
struct Moved {
  explicit Moved(const Lease& on) noexcept : lease(on) {}
  ~Moved() { lease.keeper->moved(lease.cookie); }
  Moved(const Moved&) = delete;
  Moved& operator=(const Moved&) = delete;
  const Lease& lease;
};

void dealloc(PyObject* object) {
  NodeBuffer* const self = as_buffer(object);
  if (self->weak_references != nullptr) PyObject_ClearWeakRefs(object);
  // Nobody else has a reference, and so no view is left.
  if (self->exports.close_alone() == Exports::Close::kFree) free_memory(self);
  drop_object(self);
}

int get_view(PyObject* object, Py_buffer* view, int flags) {
  NodeBuffer* const self = as_buffer(object);
  if (!self->exports.add()) {
    view->obj = nullptr;
    closed_error();
    return -1;
  }
  const auto length = static_cast<Py_ssize_t>(self->size_bytes);
  if (PyBuffer_FillInfo(view, object, self->lease.region.address, length, 0, flags) == 0) return 0;
  if (self->exports.drop()) free_memory(self);
  return -1;
}

void release_view(PyObject* object, Py_buffer*) {
  NodeBuffer* const self = as_buffer(object);
  if (self->exports.drop()) free_memory(self);
}

PyObject* close(PyObject* object, PyObject*) {
  NodeBuffer* const self = as_buffer(object);
  if (self->of_array.load(std::memory_order_relaxed)) {
    PyErr_SetString(
        PyExc_BufferError,
        "cannot close the buffer: it is the memory of an array, and goes with the array "
        "and the views of it");
    return nullptr;
  }
  switch (close_now(self)) {
    case Exports::Close::kFree:
      free_memory(self);
      break;
    case Exports::Close::kBusy:
      PyErr_Format(PyExc_BufferError,
                   "cannot close the buffer: %llu view(s) of it are alive (arrays, tensors, "
                   "memoryviews, pins); "
                   "drop them first, or "
                   "leave a `with` block, which frees the memory when the last view goes",
                   static_cast<unsigned long long>(self->exports.count()));
      return nullptr;
    case Exports::Close::kAlready:
      break;
  }
  Py_RETURN_NONE;
}

PyObject* to_array(PyObject* object, PyObject*) {
  static_cast<void>(give_to_array(object));
  Py_RETURN_NONE;
}

PyObject* enter(PyObject* object, PyObject*) {
  if (as_buffer(object)->exports.closed()) return closed_error();
  return Py_NewRef(object);
}

PyObject* leave(PyObject* object, PyObject* const*, Py_ssize_t) {
  NodeBuffer* const self = as_buffer(object);
  if (self->of_array.load(std::memory_order_relaxed)) Py_RETURN_NONE;
  const bool unused = close_now(self) == Exports::Close::kFree;
  if (unused || self->exports.close_when_unused()) free_memory(self);
  Py_RETURN_NONE;
}

PyObject* placement(PyObject* object, PyObject*) {
  NodeBuffer* const self = as_buffer(object);
  const Hold hold(self);
  if (!hold) return nullptr;
  return guarded(static_cast<PyObject*>(nullptr), [self] {
    Placement seen;
    {
      const WithoutGil released;
      seen = placement_of(self->lease.region);
    }
    return to_python(seen);
  });
}

PyObject* move_to(PyObject* object, PyObject* argument) {
  NodeBuffer* const self = as_buffer(object);
  const Hold hold(self);
  if (!hold) return nullptr;
  if (PyIndex_Check(argument) == 0) {
    PyObject* const id = target_by_python(object, argument);
    PyObject* const report = id == nullptr ? nullptr : move_to(object, id);
    Py_XDECREF(id);
    return report;
  }
  int overflow = 0;
  const long asked = PyLong_AsLongAndOverflow(argument, &overflow);
  if (asked == -1 && overflow == 0 && PyErr_Occurred() != nullptr) {
    if (PyErr_ExceptionMatches(PyExc_TypeError) != 0)
      refuse_argument(PyExc_TypeError, "node", kNode, argument);
    return nullptr;
  }
  const int node = overflow != 0 || asked > INT_MAX || asked < 0 ? -1 : static_cast<int>(asked);
  return guarded(static_cast<PyObject*>(nullptr), [self, node] {
    Migration done;
    {
      const WithoutGil released;
      require_usable(*topology_now(), node);
      const Claim claim(Claim::Kind::kMove, self->lease.region);
      self->moved.store(true, std::memory_order_relaxed);
      const Moved moved(self->lease);  // an interrupted migration has moved some
      done = migrate(self->lease.region, node, check_signals);
    }
    Py_BEGIN_CRITICAL_SECTION(reinterpret_cast<PyObject*>(self));
    self->lease.place = done.place;
    Py_END_CRITICAL_SECTION();
    return migration_report(node, done.before, done.placement);
  });
}

// (dtype="uint8", shape=None). False for what numapool.arrays.creation is to judge.
bool read_array(const NodeBuffer* self, PyObject* const* values, Py_ssize_t count, PyObject* names,
                PlainArray& out) noexcept {
  const Py_ssize_t named = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  if (count > 2) return false;
  PyObject* dtype = count > 0 ? values[0] : nullptr;
  PyObject* shape = count > 1 ? values[1] : nullptr;
  for (Py_ssize_t i = 0; i < named; ++i) {
    PyObject* const name = PyTuple_GET_ITEM(names, i);
    const bool is_dtype = PyUnicode_CompareWithASCIIString(name, "dtype") == 0;
    if (!is_dtype && PyUnicode_CompareWithASCIIString(name, "shape") != 0) return false;
    PyObject*& place = is_dtype ? dtype : shape;
    if (place != nullptr) return false;  // twice
    place = values[count + i];
  }
  if (!(dtype == nullptr ? out.read_bytes() : out.read_dtype(dtype))) return false;
  const bool all = shape == nullptr || shape == Py_None;
  return (all ? out.fill(self->size_bytes) : out.read_shape(shape)) &&
         out.size_bytes() <= self->size_bytes;
}

PyObject* as_array(PyObject* object, PyObject* const* arguments, Py_ssize_t count,
                   PyObject* names) {
  PlainArray plain;
  if (read_array(as_buffer(object), arguments, count, names, plain)) {
    PyObject* const view = PyMemoryView_FromObject(object);
    return view == nullptr ? nullptr : plain.make(as_buffer(object)->lease.region.address, view);
  }
  PyObject* const module = PyImport_ImportModule("numapool.arrays.creation");
  if (module == nullptr) return nullptr;
  PyObject* const make = PyObject_GetAttrString(module, "array_over");
  Py_DECREF(module);
  if (make == nullptr) return nullptr;
  std::vector<PyObject*> all{object};
  const Py_ssize_t named = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  all.insert(all.end(), arguments, arguments + count + named);
  PyObject* const array =
      PyObject_Vectorcall(make, all.data(), static_cast<std::size_t>(count) + 1, names);
  Py_DECREF(make);
  return array;
}

Py_ssize_t length(PyObject* object) {
  return static_cast<Py_ssize_t>(as_buffer(object)->size_bytes);
}

PyObject* array_interface(PyObject* object, void*) {
  // An object of the buffer protocol stands where an address could: the array holds a view by it.
  PyObject* const view = PyMemoryView_FromObject(object);
  if (view == nullptr) return nullptr;
  return Py_BuildValue("{s:i,s:(n),s:s,s:N}", "version", 3, "shape", length(object), "typestr",
                       "|u1", "data", view);
}

BlockPlace place_now(PyObject* object) noexcept {
  BlockPlace place;
  Py_BEGIN_CRITICAL_SECTION(object);
  place = as_buffer(object)->lease.place;
  Py_END_CRITICAL_SECTION();
  return place;
}

PyObject* optional_int(const std::optional<int>& value) noexcept {
  if (!value) Py_RETURN_NONE;
  return PyLong_FromLong(*value);
}

PyObject* get_nbytes(PyObject* object, void*) {
  return PyLong_FromSize_t(as_buffer(object)->size_bytes);
}
PyObject* get_address(PyObject* object, void*) {
  const Hold hold(as_buffer(object));
  return hold ? PyLong_FromVoidPtr(as_buffer(object)->lease.region.address) : nullptr;
}
PyObject* get_requested_node(PyObject* object, void*) {
  return optional_int(place_now(object).requested_node);
}
PyObject* get_node_id(PyObject* object, void*) { return optional_int(place_now(object).node_id); }
PyObject* get_step(PyObject* object, void*) { return to_python(place_now(object).step); }
PyObject* get_bound(PyObject* object, void*) { return PyBool_FromLong(place_now(object).bound); }
PyObject* get_locked(PyObject* object, void*) { return PyBool_FromLong(as_buffer(object)->locked); }
PyObject* get_closed(PyObject* object, void*) {
  return PyBool_FromLong(as_buffer(object)->exports.closed());
}

PyObject* repr(PyObject* object) {
  return guarded(static_cast<PyObject*>(nullptr), [object] {
    const NodeBuffer* const self = as_buffer(object);
    const std::string text = repr_text(self->size_bytes, place_now(object), self->exports.closed(),
                                       self->lease.region.address);
    return PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
  });
}

PyMethodDef methods[] = {
    {"close", close, METH_NOARGS, doc::kClose},
    {"_give_to_array", to_array, METH_NOARGS, nullptr},
    {"placement", placement, METH_NOARGS, doc::kPlacement},
    {"migrate", move_to, METH_O, doc::kMigrate},
    {"pin", pin_buffer, METH_NOARGS, doc::kPin},
    {"hold", hold_buffer, METH_NOARGS, "Deprecated: use pin()."},
    {"as_array", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(as_array)),
     METH_FASTCALL | METH_KEYWORDS, doc::kAsArray},
    {"__dlpack__", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(dlpack)),
     METH_FASTCALL | METH_KEYWORDS, doc::kDlpack},
    {"__dlpack_device__", dlpack_device, METH_NOARGS, doc::kDlpackDevice},
    {"__enter__", enter, METH_NOARGS, nullptr},
    {"__exit__", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(leave)), METH_FASTCALL,
     nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef attributes[] = {
    {"nbytes", get_nbytes, nullptr, doc::kNbytes, nullptr},
    {"address", get_address, nullptr, doc::kAddress, nullptr},
    {"requested_node", get_requested_node, nullptr, doc::kRequestedNode, nullptr},
    {"node_id", get_node_id, nullptr, doc::kNodeId, nullptr},
    {"step", get_step, nullptr, doc::kStep, nullptr},
    {"bound", get_bound, nullptr, doc::kBound, nullptr},
    {"locked", get_locked, nullptr, doc::kLocked, nullptr},
    {"__array_interface__", array_interface, nullptr, doc::kArrayInterface, nullptr},
    {"closed", get_closed, nullptr, doc::kClosed, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(NodeBuffer, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

template <class Function>
void* slot(Function* function) noexcept {
  return reinterpret_cast<void*>(function);
}

}  // namespace

int add_node_buffer_type(PyObject* module) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_dealloc, slot(dealloc)},
      {Py_tp_repr, slot(repr)},
      {Py_tp_doc, const_cast<char*>(doc::kNodeBuffer)},
      {Py_tp_methods, methods},
      {Py_tp_getset, attributes},
      {Py_tp_members, members},
      {Py_mp_length, slot(length)},
      {Py_bf_getbuffer, slot(get_view)},
      {Py_bf_releasebuffer, slot(release_view)},
      {0, nullptr},
  };
  PyType_Spec spec = {
      "numapool.NodeBuffer", sizeof(NodeBuffer), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots};
  PyObject* const type = PyType_FromModuleAndSpec(module, &spec, nullptr);
  if (type == nullptr) return -1;
  node_buffer_type = reinterpret_cast<PyTypeObject*>(type);
  return PyModule_AddObjectRef(module, "NodeBuffer", type);
}

PyObject* make_node_buffer(const Lease& lease, std::size_t size_bytes) noexcept {
  PyObject* const made = unlent_node_buffer(size_bytes);
  if (made == nullptr) {
    give_back(lease);
    return nullptr;
  }
  lease_of(made) = lease;
  return made;
}

PyObject* unlent_node_buffer(std::size_t size_bytes) noexcept {
  NodeBuffer* const self = new_object();
  if (self == nullptr) return nullptr;
  self->weak_references = nullptr;
  new (&self->exports) Exports();
  new (&self->lease) Lease();
  self->size_bytes = size_bytes;
  self->locked = false;
  new (&self->moved) std::atomic<bool>(false);
  new (&self->of_array) std::atomic<bool>(false);
  return reinterpret_cast<PyObject*>(self);
}

Lease& lease_of(PyObject* buffer) noexcept { return as_buffer(buffer)->lease; }

void drop_unlent(PyObject* buffer) noexcept { drop_object(as_buffer(buffer)); }

PyObject* make_node_buffer(Block&& block) noexcept {
  auto* const mapping = new (std::nothrow) Mapping(std::move(block.mapping));
  if (mapping == nullptr) return PyErr_NoMemory();
  const Lease lease{mapping->region(), block.place, &unmap_keeper, mapping, false};
  PyObject* const object = make_node_buffer(lease, block.size_bytes);
  if (object != nullptr) as_buffer(object)->locked = block.locked;
  return object;
}

bool add_view(PyObject* buffer) noexcept {
  if (as_buffer(buffer)->exports.add()) return true;
  closed_error();
  return false;
}

void* give_to_array(PyObject* buffer) noexcept {
  as_buffer(buffer)->of_array.store(true, std::memory_order_relaxed);
  return as_buffer(buffer)->lease.region.address;
}

void drop_view(PyObject* buffer) noexcept {
  NodeBuffer* const self = as_buffer(buffer);
  if (self->exports.drop()) free_memory(self);
}

Held held_memory(PyObject* buffer) noexcept {
  const NodeBuffer* const self = as_buffer(buffer);
  return {self->lease.region, self->size_bytes, place_now(buffer).node_id};
}

PyObject* placement_again(PyObject* buffer) noexcept {
  NodeBuffer* const self = as_buffer(buffer);
  const Hold hold(self);
  if (!hold) return nullptr;
  return guarded(static_cast<PyObject*>(nullptr), [self] {
    Placement seen;
    {
      const WithoutGil released;
      seen = placement_of(self->lease.region);
    }
    const std::optional<int> node = seen.majority_node();
    Py_BEGIN_CRITICAL_SECTION(reinterpret_cast<PyObject*>(self));
    if (node && node != self->lease.place.node_id) {
      self->lease.place.node_id = node;
      self->moved.store(true, std::memory_order_relaxed);
    }
    Py_END_CRITICAL_SECTION();
    return to_python(seen);
  });
}

void give_back(const Lease& lease) noexcept {
  if (!lease.keeper->give_back(lease.cookie, false)) return;
  const WithoutGil released;
  lease.keeper->tidy();
}

}  // namespace numapool::bindings
