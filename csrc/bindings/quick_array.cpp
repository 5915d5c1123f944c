// numapool._core.QuickArray: a function of Python's that makes arrays, with a shorter way.
//
// Where the array is of a pool and every argument is a plain one, it is made here, without running
// Python code. All other calls go on to the function as they came, so that there is one place which
// says what the arguments mean and how they are refused.
#include "quick_array.hpp"

#include <structmember.h>

#include <cstring>

#include "buffer_pool.hpp"
#include "node_buffer.hpp"
#include "plain_array.hpp"

namespace numapool::bindings {
namespace {

struct QuickArray {
  PyObject_HEAD PyObject* function;  // of numapool.arrays.creation
  PyObject* pool_class;
  PyObject* node_set_class;
  PyObject* attributes;
  PyObject* weak_references;
  vectorcallfunc call;
  bool zeroed;
};

QuickArray* as_quick(PyObject* object) noexcept { return reinterpret_cast<QuickArray*>(object); }

struct Given {
  PyObject* shape = nullptr;
  PyObject* dtype = reinterpret_cast<PyObject*>(&PyFloat_Type);
  PyObject* order = nullptr;
  PyObject* node = Py_None;
  PyObject* pool = nullptr;
};

// False for what the function is to judge.
bool read_named(PyObject* name, PyObject* value, Given& out) noexcept {
  const char* const text = PyUnicode_AsUTF8(name);
  if (text == nullptr) {
    PyErr_Clear();
    return false;
  }
  const auto is = [text](const char* word) { return std::strcmp(text, word) == 0; };
  PyObject** place = nullptr;
  if (is("pool")) {
    place = &out.pool;
  } else if (is("node")) {
    place = &out.node;
  } else if (is("dtype")) {
    place = &out.dtype;
  } else if (is("order")) {
    place = &out.order;
  } else if (is("shape")) {
    place = &out.shape;
  } else if (is("strict")) {
    return value == Py_False;
  } else {
    return value == Py_None && (is("allocator") || is("page_size"));
  }
  *place = value;
  return true;
}

// (shape, dtype=float, order="C", *, node=None, strict=False, page_size=None, allocator=None,
// pool=None)
bool read(PyObject* const* values, Py_ssize_t count, PyObject* names, Given& out) noexcept {
  const Py_ssize_t named = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  if (named == 0 || count > 3) return false;  // the pool has a name
  if (count > 0) out.shape = values[0];
  if (count > 1) out.dtype = values[1];
  if (count > 2) out.order = values[2];
  static constexpr const char* kPositional[] = {"shape", "dtype", "order"};
  for (Py_ssize_t i = 0; i < named; ++i) {
    PyObject* const name = PyTuple_GET_ITEM(names, i);
    for (Py_ssize_t j = 0; j < count; ++j)
      if (PyUnicode_CompareWithASCIIString(name, kPositional[j]) == 0) return false;  // twice
    if (!read_named(name, values[count + i], out)) return false;
  }
  return out.shape != nullptr && out.pool != nullptr;
}

bool plain_node(const QuickArray* self, PyObject* node) noexcept {
  return node == Py_None || PyLong_CheckExact(node) != 0 ||
         reinterpret_cast<PyObject*>(Py_TYPE(node)) == self->node_set_class;
}

PyObject* call(PyObject* object, PyObject* const* values, std::size_t flagged_count,
               PyObject* names) noexcept {
  const QuickArray* const self = as_quick(object);
  Given given;
  PlainArray array;
  if (read(values, PyVectorcall_NARGS(flagged_count), names, given) &&
      reinterpret_cast<PyObject*>(Py_TYPE(given.pool)) == self->pool_class &&
      plain_node(self, given.node) && (given.order == nullptr || array.read_order(given.order)) &&
      array.read_dtype(given.dtype) && array.read_shape(given.shape)) {
    PyObject* const buffer = lend_block(given.pool, array.size_bytes(), given.node, self->zeroed);
    if (buffer == nullptr) return nullptr;
    return array.make(give_to_array(buffer), buffer);
  }
  return PyObject_Vectorcall(self->function, values, flagged_count, names);
}

int traverse(PyObject* object, visitproc visit, void* arg) {
  QuickArray* const self = as_quick(object);
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->function);
  Py_VISIT(self->pool_class);
  Py_VISIT(self->node_set_class);
  Py_VISIT(self->attributes);
  return 0;
}

int clear(PyObject* object) {
  Py_CLEAR(as_quick(object)->attributes);
  return 0;
}

void dealloc(PyObject* object) {
  QuickArray* const self = as_quick(object);
  PyTypeObject* const type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  if (self->weak_references != nullptr) PyObject_ClearWeakRefs(object);
  Py_XDECREF(self->function);
  Py_XDECREF(self->pool_class);
  Py_XDECREF(self->node_set_class);
  Py_XDECREF(self->attributes);
  type->tp_free(object);
  Py_DECREF(type);
}

// QuickArray(function, pool_class, node_set_class, zeroed)
PyObject* make(PyTypeObject* type, PyObject* values, PyObject* names) {
  PyObject* function = nullptr;
  PyObject* pool_class = nullptr;
  PyObject* node_set_class = nullptr;
  int zeroed = 0;
  if (names != nullptr && PyDict_GET_SIZE(names) != 0) {
    PyErr_SetString(PyExc_TypeError, "QuickArray() takes no keyword arguments");
    return nullptr;
  }
  if (PyArg_ParseTuple(values, "OO!O!p", &function, &PyType_Type, &pool_class, &PyType_Type,
                       &node_set_class, &zeroed) == 0)
    return nullptr;
  PyObject* const object = type->tp_alloc(type, 0);
  if (object == nullptr) return nullptr;
  QuickArray* const self = as_quick(object);
  Py_INCREF(function);
  Py_INCREF(pool_class);
  Py_INCREF(node_set_class);
  self->function = function;
  self->pool_class = pool_class;
  self->node_set_class = node_set_class;
  self->call = call;
  self->zeroed = zeroed != 0;
  return object;
}

// As functions do: an attribute of a class becomes a method.
PyObject* bind(PyObject* object, PyObject* instance, PyObject*) {
  if (instance != nullptr && instance != Py_None) return PyMethod_New(object, instance);
  Py_INCREF(object);
  return object;
}

PyObject* attribute_or(PyObject* object, const char* name) noexcept {
  PyObject* const found = PyObject_GetAttrString(object, name);
  if (found != nullptr) return found;
  PyErr_Clear();
  return PyUnicode_FromString("?");
}

PyObject* repr(PyObject* object) {
  const Owned name(attribute_or(object, "__qualname__"));
  return name.get() == nullptr ? nullptr
                               : PyUnicode_FromFormat("<numapool function %S>", name.get());
}

// Pickled by its name, as functions are.
PyObject* reduce(PyObject* object, PyObject*) {
  return PyObject_GetAttrString(object, "__qualname__");
}

PyMethodDef methods[] = {
    {"__reduce__", reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(QuickArray, attributes), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(QuickArray, weak_references), READONLY, nullptr},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(QuickArray, call), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyGetSetDef attributes[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

template <class Function>
void* slot(Function* function) noexcept {
  return reinterpret_cast<void*>(function);
}

}  // namespace

int add_quick_array_type(PyObject* module) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_new, slot(make)},
      {Py_tp_dealloc, slot(dealloc)},
      {Py_tp_traverse, slot(traverse)},
      {Py_tp_clear, slot(clear)},
      {Py_tp_call, slot(PyVectorcall_Call)},
      {Py_tp_descr_get, slot(bind)},
      {Py_tp_repr, slot(repr)},
      {Py_tp_methods, methods},
      {Py_tp_members, members},
      {Py_tp_getset, attributes},
      {0, nullptr},
  };
  PyType_Spec spec = {"numapool._core.QuickArray", sizeof(QuickArray), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                          Py_TPFLAGS_IMMUTABLETYPE,
                      slots};
  PyObject* const type = PyType_FromModuleAndSpec(module, &spec, nullptr);
  if (type == nullptr) return -1;
  const int added = PyModule_AddObjectRef(module, "QuickArray", type);
  Py_DECREF(type);
  return added;
}

}  // namespace numapool::bindings
