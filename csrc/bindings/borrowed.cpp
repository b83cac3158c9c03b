#include "bindings/borrowed.h"

#include <pybind11/stl.h>

#include <memory>
#include <string>

#include "bindings/array.h"
#include "bindings/device.h"
#include "cuda/platform/device_memory.h"
#include "cuda/platform/streams.h"

namespace neurona {
namespace {

void give_back(void* memory) {
  const std::unique_ptr<Loan> loan(static_cast<Loan*>(memory));
  if (!loan->give_back) return;
  {
    // The lender does not know our stream, and may use the memory for something else at once.
    const py::gil_scoped_release release;
    wait_for_own_stream();
  }
  loan->give_back(loan->lender);
}

// The bytes from the lowest element to the end of the highest.
struct Span {
  int64_t below = 0, above = 0;  // of the first element

  bool add(int64_t extent, int64_t stride) {
    int64_t reach = 0;
    int64_t& side = stride < 0 ? below : above;
    return !__builtin_mul_overflow(extent - 1, stride, &reach) &&
           !__builtin_add_overflow(side, reach, &side);
  }
};

bool is_empty(const Borrowed& borrowed) {
  for (int64_t extent : borrowed.shape)
    if (extent == 0) return true;
  return false;
}

// Another library's memory as an array whose owner is the loan's capsule.
py::array borrow(const std::string& dtype, uintptr_t address, const std::vector<int64_t>& shape,
                 const std::optional<std::vector<int64_t>>& strides, bool writable,
                 const py::object& owner) {
  constexpr const char* kOp = "__cuda_array_interface__";
  Borrowed borrowed;
  borrowed.op = kOp;
  borrowed.dtype = py::dtype(dtype);
  borrowed.data = reinterpret_cast<void*>(address);
  borrowed.shape = shape;
  borrowed.writable = writable;
  borrowed.strides = strides ? *strides : c_strides(kOp, shape, borrowed.dtype.itemsize());
  check_borrowed(borrowed);
  Loan* loan = nullptr;
  const py::capsule capsule = new_loan(loan);
  loan->give_back = [](void* lender) { Py_DECREF(static_cast<PyObject*>(lender)); };
  loan->lender = owner.inc_ref().ptr();
  return borrowed_array(borrowed, capsule);
}

}  // namespace

py::capsule new_loan(Loan*& loan) {
  auto made = std::make_unique<Loan>();
  py::capsule owner(made.get(), kDeviceMemory, &give_back);
  loan = made.release();
  return owner;
}

void check_borrowed(const Borrowed& borrowed) {
  const char* op = borrowed.op;
  if (borrowed.shape.size() != borrowed.strides.size())
    fail_buffer(op, "shape and strides must have the same length");
  for (int64_t extent : borrowed.shape)
    if (extent < 0) fail_buffer(op, "no axis may be shorter than 0, got " + std::to_string(extent));
  const int64_t item = borrowed.dtype.itemsize();
  if (is_empty(borrowed)) {
    c_strides(op, borrowed.shape, item);  // which the new array will have
    return;
  }
  Span span;
  bool counted = true;
  for (size_t axis = 0; axis < borrowed.shape.size(); ++axis)
    counted = counted && span.add(borrowed.shape[axis], borrowed.strides[axis]);
  int64_t bytes = 0;
  counted = counted && !__builtin_sub_overflow(span.above, span.below, &bytes) &&
            !__builtin_add_overflow(bytes, item, &bytes);
  if (!counted) fail_buffer(op, "the array is larger than any memory");
  const auto first = reinterpret_cast<uintptr_t>(borrowed.data);
  const auto lowest = first + static_cast<uintptr_t>(span.below);
  if (!lies_on_device(reinterpret_cast<const void*>(lowest), static_cast<size_t>(bytes)))
    fail_buffer(op, "the elements do not all lie in the memory of the CUDA device");
  bool aligned = first % static_cast<uintptr_t>(item) == 0;
  for (int64_t stride : borrowed.strides) aligned = aligned && stride % item == 0;
  if (!aligned) fail_buffer(op, "elements must lie at multiples of their size");
}

py::array borrowed_array(const Borrowed& borrowed, const py::capsule& owner) {
  if (is_empty(borrowed)) return new_array(borrowed.dtype, borrowed.shape, Order::kC);
  py::array array(borrowed.dtype, borrowed.shape, borrowed.strides, borrowed.data, owner);
  if (!borrowed.writable) array.attr("flags").attr("writeable") = false;
  return array;
}

std::vector<int64_t> c_strides(const char* op, const std::vector<int64_t>& shape, int64_t item) {
  std::vector<int64_t> strides(shape.size());
  int64_t step = item;
  for (size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = step;
    if (__builtin_mul_overflow(step, shape[axis] > 0 ? shape[axis] : 1, &step))
      fail_buffer(op, "the array is larger than any memory");
  }
  return strides;
}

void fail_buffer(const char* op, const std::string& reason) {
  throw py::buffer_error(std::string(op) + ": " + reason);
}

void register_borrowed(py::module_& m) {
  m.def("borrow", &borrow, py::arg("dtype"), py::arg("address"), py::arg("shape"),
        py::arg("strides"), py::arg("writable"), py::arg("owner"),
        "An array in the device's memory that belongs to `owner`, without a copy.");
  m.def("stream_number", &stream_number, "The stream of all work, as others name it.");
  m.def("let_wait", &let_wait, py::arg("stream"),
        "What another stream is told from now on comes after all work so far.");
  m.def("wait_for", &wait_for, py::arg("stream"),
        "All work from now on comes after what another stream was told so far.");
}

}  // namespace neurona
