// Binds the measuring kernels; numapool.bench asks the questions.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "numapool/bench.hpp"
#include "numapool/error.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

// The bytes of a contiguous, writable object, held while they are measured.
class HeldBytes {
 public:
  explicit HeldBytes(const py::object& object) {
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_WRITABLE) != 0)
      throw py::error_already_set();
  }
  ~HeldBytes() { PyBuffer_Release(&view_); }
  HeldBytes(const HeldBytes&) = delete;
  HeldBytes& operator=(const HeldBytes&) = delete;

  [[nodiscard]] bench::Memory memory() const noexcept {
    return {static_cast<std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }

 private:
  Py_buffer view_{};
};

// The lines of a buffer, linked to a circle. The owner of the buffer writes nothing to it
// meanwhile.
class Circle {
 public:
  Circle(const py::object& buffer, std::uint64_t seed) : bytes_(buffer) {
    const WithoutGil released;
    bench::link_circle(bytes_.memory(), seed);
  }
  [[nodiscard]] bench::Memory memory() const noexcept { return bytes_.memory(); }

 private:
  HeldBytes bytes_;
};

bench::Kind kind_named(const std::string& name) {
  if (name == "read") return bench::Kind::kRead;
  if (name == "write") return bench::Kind::kWrite;
  if (name == "copy") return bench::Kind::kCopy;
  if (name == "triad") return bench::Kind::kTriad;
  throw Error(ErrorKind::kInvalidArgument, "no such stream: " + name);
}

platform::PageKind page_kind_named(const std::string& name) {
  if (name == "base") return platform::PageKind::kBase;
  if (name == "transparent") return platform::PageKind::kTransparent;
  if (name == "hugetlb") return platform::PageKind::kHugetlb;
  throw Error(ErrorKind::kInvalidArgument, "no such kind of page: " + name);
}

py::list pairs(const std::vector<bench::Chase>& rounds) {
  py::list out;
  for (const bench::Chase& one : rounds) out.append(py::make_tuple(one.loads, one.ns));
  return out;
}

// ([(loads, ns)], stayed)
py::tuple chase(const Circle& circle, const std::vector<int>& cpu, std::uint64_t round_ns,
                std::uint32_t rounds) {
  bench::Chases done;
  {
    const WithoutGil released;
    done = bench::chase(circle.memory(), cpu, {round_ns, rounds});
  }
  return py::make_tuple(pairs(done.rounds), done.stayed);
}

// ([bytes per second], stayed)
py::tuple stream(const std::string& kind, const py::object& buffer, const std::vector<int>& cpus,
                 std::uint64_t round_ns, std::uint32_t rounds) {
  const bench::Kind wanted = kind_named(kind);
  const HeldBytes bytes(buffer);
  bench::Streams done;
  {
    const WithoutGil released;
    done = bench::stream(wanted, bytes.memory(), cpus, {round_ns, rounds});
  }
  return py::make_tuple(done.bytes_per_s, done.stayed);
}

// ([(loads, ns)], [bytes per second of the load], stayed)
py::tuple chase_under_load(const Circle& circle, const py::object& load,
                           const std::vector<int>& cpus, std::uint64_t pause,
                           std::uint64_t round_ns, std::uint32_t rounds) {
  const HeldBytes bytes(load);
  bench::Loaded done;
  {
    const WithoutGil released;
    done =
        bench::chase_under_load(circle.memory(), bytes.memory(), cpus, pause, {round_ns, rounds});
  }
  return py::make_tuple(pairs(done.chases), done.load_bytes_per_s, done.stayed);
}

// (ns, bytes of the largest page, bytes on the node, stayed)
py::tuple first_use(bool populate, std::size_t length, const std::string& page_kind,
                    std::size_t page_bytes, int node, const std::vector<int>& cpus) {
  const platform::Pages pages{page_kind_named(page_kind), page_bytes};
  bench::FirstUse done;
  {
    const WithoutGil released;
    done = bench::first_use(populate ? bench::First::kPopulate : bench::First::kTouch, length,
                            pages, node, cpus);
  }
  return py::make_tuple(done.ns, done.page_bytes, done.bytes_on_node, done.stayed);
}

void touch(const py::object& buffer, std::size_t step) {
  if (step == 0) throw Error(ErrorKind::kInvalidArgument, "a step of 0 bytes");
  const HeldBytes bytes(buffer);
  const WithoutGil released;
  bench::touch(bytes.memory(), step);
}

}  // namespace

void bind_bench(py::module_& module) {
  py::class_<Circle>(module, "BenchCircle")
      .def(py::init<const py::object&, std::uint64_t>(), py::arg("buffer"), py::arg("seed"))
      .def("chase", &chase, py::arg("cpu"), py::arg("round_ns"), py::arg("rounds"))
      .def("chase_under_load", &chase_under_load, py::arg("load"), py::arg("cpus"),
           py::arg("pause"), py::arg("round_ns"), py::arg("rounds"));
  module.def("bench_stream", &stream, py::arg("kind"), py::arg("buffer"), py::arg("cpus"),
             py::arg("round_ns"), py::arg("rounds"));
  module.def("bench_first_use", &first_use, py::arg("populate"), py::arg("length"),
             py::arg("page_kind"), py::arg("page_bytes"), py::arg("node"), py::arg("cpus"));
  module.def("bench_touch", &touch, py::arg("buffer"), py::arg("step"));
  module.def(
      "bench_spin_ns",
      [](std::uint64_t steps) {
        const WithoutGil released;
        return bench::spin_ns(steps);
      },
      py::arg("steps"));
  module.def("bench_instructions", &bench::instructions);
}

}  // namespace numapool::bindings
