// neurona_ptx_machine: kernels of any PTX text, run on NumPy arrays, so that the machine itself can
// be tested.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "launch_bindings.h"
#include "program/kernel.h"
#include "runtime/device.h"
#include "runtime/memory.h"
#include "runtime/tensor_map.h"

namespace ptx_machine {
namespace {

namespace py = pybind11;

// An array while a kernel runs: its copy in the machine's memory.
class DeviceCopy {
 public:
  explicit DeviceCopy(py::array home) : home_(std::move(home)) {
    if (!(home_.flags() & py::array::c_style)) throw std::runtime_error("an array is not dense");
    copy_.reset(static_cast<unsigned char*>(memory().allocate(bytes(), Kind::kDevice)));
    if (!copy_) throw std::runtime_error("the machine's memory is at an end");
    std::memcpy(copy_.get(), home_.data(), bytes());
  }

  void* begin() const { return copy_.get(); }
  void bring_home() { std::memcpy(home_.mutable_data(), copy_.get(), bytes()); }

 private:
  struct Free {
    void operator()(unsigned char* begin) const { memory().free(begin, Kind::kDevice); }
  };

  size_t bytes() const { return static_cast<size_t>(home_.nbytes()); }

  py::array home_;
  std::unique_ptr<unsigned char, Free> copy_;
};

// What a tensor map is made of, but for the address, which its array has when a kernel runs.
struct TensorMap {
  py::array array;
  std::vector<cuuint64_t> extents, stride_bytes;
  std::vector<cuuint32_t> steps;
  int swizzle = 0;  // bytes
  bool fills_with_nan = false;

  std::vector<cuuint32_t> box;  // of a tiled map; empty for an im2col map

  std::vector<int> lower_corner, upper_corner;
  cuuint32_t channels = 0, pixels = 0;
};

CUtensorMapDataType type_of(const py::array& array) {
  switch (array.dtype().char_()) {
    case 'f': return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
    case 'd': return CU_TENSOR_MAP_DATA_TYPE_FLOAT64;
    case 'H': return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    case 'B': return CU_TENSOR_MAP_DATA_TYPE_UINT8;
    default: throw std::runtime_error("no tensor map of such elements");
  }
}

CUtensorMapSwizzle swizzle_of(int bytes) {
  switch (bytes) {
    case 0: return CU_TENSOR_MAP_SWIZZLE_NONE;
    case 32: return CU_TENSOR_MAP_SWIZZLE_32B;
    case 64: return CU_TENSOR_MAP_SWIZZLE_64B;
    case 128: return CU_TENSOR_MAP_SWIZZLE_128B;
    default: throw std::runtime_error("no such swizzle");
  }
}

CUtensorMap encoded(const TensorMap& map, void* address) {
  const auto rank = static_cast<cuuint32_t>(map.extents.size());
  const CUtensorMapFloatOOBfill fill = map.fills_with_nan
                                           ? CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA
                                           : CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;
  const CUtensorMapDataType type = type_of(map.array);
  const CUtensorMapSwizzle swizzle = swizzle_of(map.swizzle);
  CUtensorMap bytes;
  const CUresult result =
      map.box.empty()
          ? encode_im2col(&bytes, type, rank, address, map.extents.data(), map.stride_bytes.data(),
                          map.lower_corner.data(), map.upper_corner.data(), map.channels,
                          map.pixels, map.steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
                          CU_TENSOR_MAP_L2_PROMOTION_NONE, fill)
          : encode_tiled(&bytes, type, rank, address, map.extents.data(), map.stride_bytes.data(),
                         map.box.data(), map.steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
                         CU_TENSOR_MAP_L2_PROMOTION_NONE, fill);
  if (result != CUDA_SUCCESS) throw std::runtime_error("the tensor map is refused");
  return bytes;
}

// The bytes of a launch's arguments, and the copies that they point to.
class Arguments {
 public:
  Arguments(const Kernel& kernel, const py::list& values) {
    const std::vector<Parameter>& parameters = parameters_of(kernel);
    if (parameters.size() != values.size()) throw std::runtime_error("another number of arguments");
    for (size_t i = 0; i < values.size(); ++i) write(parameters[i], values[i]);
  }

  const std::vector<unsigned char>& bytes() const { return bytes_; }
  void bring_home() {
    for (DeviceCopy& each : arrays_) each.bring_home();
  }

 private:
  void write(const Parameter& parameter, const py::handle& value) {
    if (py::isinstance<py::array>(value)) {
      arrays_.emplace_back(py::cast<py::array>(value));
      void* const begin = arrays_.back().begin();
      return write(parameter, &begin, sizeof begin);
    }
    if (py::isinstance<TensorMap>(value)) {
      const auto& map = py::cast<const TensorMap&>(value);
      mapped_.emplace_back(map.array);
      const CUtensorMap encoded_map = encoded(map, mapped_.back().begin());
      return write(parameter, &encoded_map, sizeof encoded_map);
    }
    if (py::isinstance<py::bytes>(value)) {
      const auto bytes = py::cast<std::string>(value);
      return write(parameter, bytes.data(), bytes.size());
    }
    const auto number = py::cast<uint64_t>(value);
    if (parameter.bytes < sizeof number && number >> (8 * parameter.bytes))
      throw std::runtime_error("a number is too large for its parameter");
    write(parameter, &number, std::min(parameter.bytes, sizeof number));
  }

  void write(const Parameter& parameter, const void* value, size_t bytes) {
    if (parameter.bytes != bytes) throw std::runtime_error("a parameter has another size");
    bytes_.resize(std::max(bytes_.size(), parameter.offset + bytes));
    std::memcpy(bytes_.data() + parameter.offset, value, bytes);
  }

  std::vector<unsigned char> bytes_;
  std::vector<DeviceCopy> arrays_, mapped_;
};

Dimensions dimensions(const std::array<unsigned, 3>& extents) {
  return {extents[0], extents[1], extents[2]};
}

void run(const std::string& ptx, const std::string& name, const py::list& values,
         const std::array<unsigned, 3>& grid, const std::array<unsigned, 3>& block,
         size_t dynamic_shared, bool overlaps, unsigned cluster) {
  const std::shared_ptr<Module> module = parse_module(ptx);
  const Kernel* kernel = find_kernel(*module, name);
  if (!kernel) throw std::runtime_error("no kernel is called " + name);
  if (block[0] * block[1] * block[2] > limits_of(*kernel).max_threads)
    throw std::runtime_error("more threads than the kernel's bounds");
  Arguments arguments(*kernel, values);
  run_kernel(
      *kernel,
      {dimensions(grid), dimensions(block), dynamic_shared, most_shared(), overlaps, cluster},
      arguments.bytes());
  memory().check_red_zones();
  arguments.bring_home();
}

TensorMap tiled(py::array array, std::vector<cuuint64_t> extents,
                std::vector<cuuint64_t> stride_bytes, std::vector<cuuint32_t> box,
                std::vector<cuuint32_t> steps, int swizzle, bool fills_with_nan) {
  TensorMap map;
  map.array = std::move(array);
  map.extents = std::move(extents);
  map.stride_bytes = std::move(stride_bytes);
  map.box = std::move(box);
  map.steps = std::move(steps);
  map.swizzle = swizzle;
  map.fills_with_nan = fills_with_nan;
  return map;
}

TensorMap im2col(py::array array, std::vector<cuuint64_t> extents,
                 std::vector<cuuint64_t> stride_bytes, std::vector<int> lower_corner,
                 std::vector<int> upper_corner, cuuint32_t channels, cuuint32_t pixels,
                 std::vector<cuuint32_t> steps, int swizzle) {
  TensorMap map;
  map.array = std::move(array);
  map.extents = std::move(extents);
  map.stride_bytes = std::move(stride_bytes);
  map.lower_corner = std::move(lower_corner);
  map.upper_corner = std::move(upper_corner);
  map.channels = channels;
  map.pixels = pixels;
  map.steps = std::move(steps);
  map.swizzle = swizzle;
  return map;
}

}  // namespace

PYBIND11_MODULE(neurona_ptx_machine, m) {
  m.doc() = "The PTX machine alone.";
  py::class_<TensorMap>(m, "TensorMap", "An argument of 128 bytes; axes from the innermost on.")
      .def_static("tiled", &tiled, py::arg("array"), py::arg("extents"), py::arg("stride_bytes"),
                  py::arg("box"), py::arg("steps"), py::arg("swizzle") = 128,
                  py::arg("fills_with_nan") = false)
      .def_static("im2col", &im2col, py::arg("array"), py::arg("extents"), py::arg("stride_bytes"),
                  py::arg("lower_corner"), py::arg("upper_corner"), py::arg("channels"),
                  py::arg("pixels"), py::arg("steps"), py::arg("swizzle") = 128);
  m.def("run", &run, py::arg("ptx"), py::arg("name"), py::arg("arguments"),
        py::arg("grid") = std::array<unsigned, 3>{1, 1, 1},
        py::arg("block") = std::array<unsigned, 3>{32, 1, 1}, py::arg("dynamic_shared") = 0,
        py::arg("overlaps") = false, py::arg("cluster") = 1,
        "Run a kernel. Arrays are passed as pointers to copies, which come home afterwards; bytes "
        "are passed as they are. RuntimeError for what is no kernel, or fails.");
  bind_launches(m);
}

}  // namespace ptx_machine
