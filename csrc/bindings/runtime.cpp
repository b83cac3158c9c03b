// Threads, ISA, memory, and what the machine is.
#include <pybind11/stl.h>

#include <algorithm>

#include "bindings/array.h"
#include "bindings/register.h"
#include "core/arena.h"
#include "core/cpu.h"
#include "core/denormals.h"
#include "core/thread_pool.h"
#include "kernels/select.h"
#include "ops/pool_check.h"
#include "ops/probe.h"

namespace neurona {
namespace {

#if defined(__clang__)
constexpr const char* kCompiler = "Clang " __clang_version__;
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

}  // namespace

void register_runtime(py::module_& m) {
  m.def("num_threads", &num_threads, "Threads that kernels use.");
  m.def(
      "set_num_threads",
      [](py::object n) {
        const int64_t threads = int_parameter("set_num_threads", "n", n);
        if (threads < 1 || threads > 1024)
          fail_value("set_num_threads", "n must be between 1 and 1024, got ", threads);
        set_num_threads(static_cast<int>(threads));
      },
      py::arg("n"), "Sets the number of threads that kernels use, 1 to 1024.");
  m.def(
      "set_flush_denormal",
      [](py::object mode) {
        return set_flush_denormal(bool_parameter("set_flush_denormal", "mode", mode));
      },
      py::arg("mode"),
      "Flushes denormals to zero inside every op, or keeps them; False where that cannot be done.");
  m.def("isa", &selected_isa, "The instruction set in use.");
  m.def("available_isas", &available_isas,
        "The instruction sets that were built and that this processor has, weakest first.");
  m.def(
      "set_isa",
      [](const std::string& name) {
        const auto names = available_isas();
        if (std::find(names.begin(), names.end(), name) == names.end()) {
          std::string known;
          for (const auto& each : names) known += (known.empty() ? "'" : ", '") + each + "'";
          fail_value("set_isa", "name must be one of ", known, ", got '", name, "'");
        }
        select_isa(name);
      },
      py::arg("name"), "Chooses the instruction set, for tests and lessons.");
  m.def("empty_cache", &arena_empty_cache, "Gives cached memory blocks back to the system.");
  m.def(
      "memory_statistics",
      [] {
        const auto statistics = arena_statistics();
        py::dict result;
        result["in_use"] = statistics.in_use;
        result["cached"] = statistics.cached;
        return result;
      },
      "Bytes in use and bytes cached by the arena.");
  m.def(
      "empty",
      [](const std::vector<int64_t>& shape, bool channels_last) {
        for (int64_t extent : shape)
          if (extent < 0)
            fail_value("empty", "shape must not be negative, got ",
                       shape_text(shape.data(), shape.size()));
        return new_floats(shape, channels_last ? Order::kChannelsLast : Order::kC);
      },
      py::arg("shape"), py::arg("channels_last") = false,
      "A new float32 array on the arena's memory; contents undefined.");
  m.def(
      "cpu_info",
      [] {
        const auto& budget = thread_budget();
        const auto& cache = cache_sizes();
        py::dict info;
        info["name"] = cpu_name();
        info["compiler"] = kCompiler;
        info["l1d"] = cache.l1d;
        info["l2"] = cache.l2;
        info["l3"] = cache.l3;
        info["affinity"] = budget.affinity;
        info["quota"] = budget.quota;
        info["threads"] = num_threads();
        info["reason"] = budget.reason;
        return info;
      },
      "Processor name, compiler of this module, cache sizes in bytes, and the thread budget with "
      "its reason.");
  m.def("measure_fma_peak", &measure_fma_peak, py::arg("seconds"), py::arg("threads"),
        py::arg("sustained") = false, py::call_guard<py::gil_scoped_release>(),
        "Peak float32 multiply-add rate in flop/s, measured; sustained: the median instead of the "
        "best 0.1 ms.");
  m.def("measure_bandwidth", &measure_bandwidth, py::arg("mebibytes"), py::arg("threads"),
        py::call_guard<py::gil_scoped_release>(),
        "Memory bandwidth in bytes/s, measured with a triad over three arrays.");
  m.def("count_wrong_jobs", &count_wrong_jobs, py::arg("jobs"),
        py::call_guard<py::gil_scoped_release>(),
        "Runs many small jobs on the threads; how many did not run each item exactly once.");
  m.def("set_cache_limit", &set_cache_limit, py::arg("bytes"),
        "From how many bytes on a kernel stores its results past the caches; below 0: the L3.");
  m.def(
      "count_wrong_boards", &count_wrong_boards, py::arg("boards"),
      py::call_guard<py::gil_scoped_release>(),
      "Runs many work boards on the threads; how many did not run each piece exactly once and its "
      "stages in order.");
}

}  // namespace neurona
