// Arrays of _cuda lie in the device's memory. To Python they are NumPy arrays whose elements nobody
// on the host may read: shape, strides and dtype are NumPy's business, the bytes are not. They are
// never handed to users as they are.
#include "cuda/platform/device_memory.h"

#include <cstring>
#include <string>
#include <vector>

#include "bindings/array.h"
#include "bindings/device.h"
#include "bindings/memory.h"
#include "cuda/convert.h"
#include "cuda/copy.h"

namespace neurona {
namespace {

// Whether the bytes belong to the device: views of views name their first owner.
bool on_device(const py::array& array) {
  py::object owner = array.base();
  while (owner && py::isinstance<py::array>(owner))
    owner = py::reinterpret_borrow<py::array>(owner).base();
  return owner && PyCapsule_IsValid(owner.ptr(), kDeviceMemory) == 1;
}

std::vector<int64_t> extents(const py::ssize_t* first, py::ssize_t count) {
  return std::vector<int64_t>(first, first + count);
}

py::array to_device(const py::array& source) {
  if (on_device(source)) return source;
  if (source.dtype().kind() == 'O' || source.dtype().itemsize() > 8)
    fail_type("to_device", "array must hold numbers of at most 8 bytes, got ",
              std::string(py::str(source.dtype())));
  const py::object native = source.dtype().attr("newbyteorder")("=");
  const bool keeps_order = natural_order(source) == Order::kChannelsLast;
  py::array dense = py::module_::import("numpy").attr("asarray")(
      source, py::arg("dtype") = native, py::arg("order") = keeps_order ? "K" : "C");
  const Order order = keeps_order ? Order::kChannelsLast : Order::kC;
  py::array result = new_array(native, extents(source.shape(), source.ndim()), order);
  void* to = result.mutable_data();
  const void* from = dense.data();
  const auto bytes = static_cast<size_t>(dense.nbytes());
  const py::gil_scoped_release release;
  copy_to_device(to, from, bytes);
  return result;
}

// The array itself if its elements lie in this, its natural order without gaps; else such a copy.
py::array dense_array(const py::array& source, Order order) {
  const bool is_dense = order == Order::kChannelsLast || (source.flags() & py::array::c_style);
  return is_dense ? source : copied(source, order);
}

py::array to_host(const py::array& source) {
  check_home("to_host", "array", source);
  const py::array dense = dense_array(source, natural_order(source));
  const py::object numpy = py::module_::import("numpy");
  py::array result = numpy.attr("empty_like")(dense, py::arg("order") = "K");
  void* to = result.mutable_data();
  const void* from = dense.data();
  const auto bytes = static_cast<size_t>(dense.nbytes());
  const py::gil_scoped_release release;
  copy_to_host(to, from, bytes);
  return result;
}

// "C", or "K" for the order that the array has.
Order order_parameter(const char* op, const std::string& text, const py::array& array) {
  if (text == "C") return Order::kC;
  if (text == "K") return natural_order(array);
  fail_value(op, "order must be 'C' or 'K', got '", text, "'");
}

py::array copied_in_order(const py::array& array, const std::string& order) {
  check_home("copied", "array", array);
  return copied(array, order_parameter("copied", order, array));
}

py::array new_like(const py::array& array, const std::string& order) {
  check_home("new_like", "array", array);
  return new_array(array.dtype(), extents(array.shape(), array.ndim()),
                   order_parameter("new_like", order, array));
}

// In the same order of its axes.
py::array float32_of(const py::array& source) {
  constexpr const char* kOp = "to_float32";
  check_home(kOp, "array", source);
  const Order order = natural_order(source);
  const py::array dense = dense_array(source, order);
  py::array result = new_floats(extents(source.shape(), source.ndim()), order);
  to_float32(dense.dtype().kind(), dense.dtype().itemsize(), dense.data(), floats(result),
             static_cast<int64_t>(dense.size()));
  return result;
}

// The bytes from the first element to the last, as addresses.
struct AddressRange {
  uintptr_t begin, end;
};

AddressRange range_of(const py::array& array) {
  const auto address = reinterpret_cast<uintptr_t>(array.data());
  AddressRange range{address, address + static_cast<uintptr_t>(array.itemsize())};
  for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
    const py::ssize_t reach = (array.shape(axis) - 1) * array.strides(axis);
    (reach < 0 ? range.begin : range.end) += static_cast<uintptr_t>(reach);
  }
  return range;
}

void copy_into(const py::array& to, const py::array& from) {
  constexpr const char* kOp = "copy_into";
  check_home(kOp, "to", to);
  check_home(kOp, "from", from);
  if (!to.dtype().equal(from.dtype()) ||
      extents(to.shape(), to.ndim()) != extents(from.shape(), from.ndim()))
    fail_value(kOp, "from must have the dtype and the shape of to, got ",
               std::string(py::str(from.dtype())), " and ",
               shape_text(extents(from.shape(), from.ndim()).data(), from.ndim()));
  if (!to.writeable()) fail_value(kOp, "to must be writable, got a read-only array");
  if (to.size() == 0) return;
  const AddressRange target = range_of(to), source = range_of(from);
  if (target.begin < source.end && source.begin < target.end)
    return copy_elements(to, copied(from, Order::kC));
  copy_elements(to, from);
}

}  // namespace

py::capsule new_memory(size_t bytes) {
  // Even an array without elements has an owner, so that it is known to lie on the device.
  return py::capsule(device_allocate(bytes ? bytes : 1), kDeviceMemory,
                     [](void* memory) { device_free(memory); });
}

void copy_elements(const py::array& to, const py::array& from) {
  copy_strided({extents(from.shape(), from.ndim()), extents(from.strides(), from.ndim()),
                extents(to.strides(), to.ndim()), from.dtype().itemsize()},
               from.data(), const_cast<void*>(to.data()));
}

void check_home(const char* op, const char* argument, const py::array& array) {
  if (!on_device(array))
    fail_type(op, argument, " must lie in the device's memory, got an array in the host's");
}

void check_on_host(const char* op, const char* argument, const py::array& array) {
  if (on_device(array))
    fail_type(op, argument, " must lie in the host's memory, got an array in the device's");
}

void register_device_memory(py::module_& m) {
  m.def("to_device", &to_device, py::arg("array"),
        "A copy of the array in the device's memory; itself if it lies there.");
  m.def("to_host", &to_host, py::arg("array"), "A copy of a device's array in the host's memory.");
  m.def("copied", &copied_in_order, py::arg("array"), py::arg("order"),
        "A dense copy on the device, in C order or, for 'K', in the order that the array has.");
  m.def("new_like", &new_like, py::arg("array"), py::arg("order"),
        "A new array on the device of the same shape and dtype; its contents are undefined.");
  m.def("to_float32", &float32_of, py::arg("array"),
        "The device's integers or booleans as float32, in the order that the array has.");
  m.def("copy_into", &copy_into, py::arg("to"), py::arg("from_"),
        "Copies the elements of one device's array into another of its shape, of any strides.");
  m.def("synchronize", &synchronize, py::call_guard<py::gil_scoped_release>(),
        "Waits for all work on the device; RuntimeError when some of it failed.");
  m.def("on_device", &on_device, py::arg("array"), "Whether the elements lie on the device.");
}

}  // namespace neurona
