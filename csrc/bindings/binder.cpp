// numapool._binder: the machine's nodes and this thread's memory policy, without the types of
// _core.
//
// `numapool run` becomes another program, which is not to wait for more than it needs. Of the time
// that _core takes, making its types is three quarters; loading the file is the rest. So the file
// holds a second module, made by hand: "multiple modules in one library" of PEP 489.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "errors.hpp"
#include "numapool/current_topology.hpp"
#include "numapool/error.hpp"
#include "numapool/topology.hpp"
#include "platform/thread.hpp"
#include "record.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

using platform::ThreadMode;

// As numapool.processes.binding names them.
constexpr std::array<std::pair<std::string_view, ThreadMode>, 5> kModes{{
    {"preferred", ThreadMode::kPreferred},
    {"preferred-many", ThreadMode::kPreferredMany},
    {"bind", ThreadMode::kBind},
    {"interleave", ThreadMode::kInterleave},
    {"weighted-interleave", ThreadMode::kWeightedInterleave},
}};

ThreadMode mode_of(std::string_view name) {
  for (const auto& [known, mode] : kModes) {
    if (known == name) return mode;
  }
  throw Error(ErrorKind::kInvalidArgument, "there is no memory policy " + std::string(name));
}

// nodes(): of each node its id, CPUs, whether its memory may be used, whether memory comes from it
// where no node is named, and distances to all.
PyObject* nodes(PyObject*, PyObject*) noexcept {
  return guarded(static_cast<PyObject*>(nullptr), [] {
    const SharedTopology machine = without_gil(&topology_now);
    py::tuple out(machine->nodes().size());
    for (std::size_t at = 0; at < out.size(); ++at) {
      const Node& node = machine->nodes()[at];
      out[at] =
          py::make_tuple(node.node_id, attribute(node.cpus), machine->is_usable(node.node_id),
                         machine->is_default(node.node_id), attribute(machine->distances()[at]));
    }
    return out.release().ptr();
  });
}

// memory_order(node): the nodes in the order in which memory for it is taken from them.
PyObject* memory_order(PyObject*, PyObject* argument) noexcept {
  const long node = PyLong_AsLong(argument);
  if (node == -1 && PyErr_Occurred() != nullptr) return nullptr;
  return guarded(static_cast<PyObject*>(nullptr), [node] {
    const SharedTopology machine = without_gil(&topology_now);
    return attribute(machine->memory_order(static_cast<int>(node))).release().ptr();
  });
}

// set_policy(mode, nodes): of the calling thread.
PyObject* set_policy(PyObject*, PyObject* arguments) noexcept {
  const char* mode = nullptr;
  PyObject* listed = nullptr;
  if (PyArg_ParseTuple(arguments, "sO!", &mode, &PyList_Type, &listed) == 0) return nullptr;
  return guarded(static_cast<PyObject*>(nullptr), [&]() -> PyObject* {
    std::vector<int> ids;
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(listed); ++at) {
      ids.push_back(static_cast<int>(PyLong_AsLong(PyList_GET_ITEM(listed, at))));
      if (PyErr_Occurred() != nullptr) return nullptr;
    }
    const platform::Status set = platform::set_thread_policy(mode_of(mode), ids);
    if (!set) throw Error(ErrorKind::kSystem, describe(set.failure()), set.failure().code);
    Py_RETURN_NONE;
  });
}

std::array<PyMethodDef, 4> functions{{
    {"memory_order", &memory_order, METH_O, nullptr},
    {"nodes", &nodes, METH_NOARGS, nullptr},
    {"set_policy", &set_policy, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
}};

PyModuleDef definition{PyModuleDef_HEAD_INIT,
                       "numapool._binder",
                       nullptr,
                       -1,
                       functions.data(),
                       nullptr,
                       nullptr,
                       nullptr,
                       nullptr};

}  // namespace
}  // namespace numapool::bindings

extern "C" PYBIND11_EXPORT PyObject* PyInit__binder() {
  if (!numapool::bindings::in_main_interpreter()) return nullptr;
  PyObject* const module = PyModule_Create(&numapool::bindings::definition);
#ifdef Py_GIL_DISABLED
  if (module != nullptr) PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
  return module;
}
