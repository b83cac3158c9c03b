// Arrays of the device lent to other libraries and borrowed from them, as DLPack says: a capsule
// holds a structure that describes the array and is renamed by whoever takes it, who calls its
// deleter when done.
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "bindings/array.h"
#include "bindings/borrowed.h"
#include "bindings/device.h"
#include "bindings/dlpack_abi.h"
#include "bindings/memory.h"
#include "cuda/platform/streams.h"

namespace neurona {
namespace {

using dlpack::Managed;
using dlpack::ManagedVersioned;

constexpr const char* kLend = "__dlpack__";
constexpr const char* kBorrow = "from_dlpack";
constexpr int64_t kNoStream = -1;
constexpr int32_t kMostAxes = 64;  // of NumPy

struct Code {
  char kind;  // of NumPy's dtype
  uint8_t code;
};
constexpr Code kCodes[] = {
    {'i', dlpack::kInt}, {'u', dlpack::kUInt}, {'f', dlpack::kFloat}, {'b', dlpack::kBool}};

// The device computes in float32; integers are labels, indices and images.
bool is_known(char kind, int64_t bytes) {
  if (kind == 'f') return bytes == 4;
  if (kind == 'b') return bytes == 1;
  const bool is_integer = kind == 'i' || kind == 'u';
  return is_integer && (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8);
}

// -- Lending ----------------------------------------------------------------------------------

template <typename Form>
struct Lent {
  Form form{};
  PyObject* array = nullptr;
  std::vector<int64_t> shape, strides;
  int64_t stream = kNoStream;  // on which the array is read
};

// The reader's last kernels may still run when our next ones get the memory.
void wait_for_reader(int64_t stream) noexcept {
  try {
    if (stream == stream_number()) return;
    if (stream == kDefaultStream) return wait_for(stream);
  } catch (const std::exception&) {  // then the hard way
  }
  wait_for_all_streams();  // another stream may be gone by now
}

// By any thread, with or without the GIL.
template <typename Form>
void end_of_lending(Form* form) {
  std::unique_ptr<Lent<Form>> lent(static_cast<Lent<Form>*>(form->context));
  if (!Py_IsInitialized()) {  // nor is there anybody to whom the array matters
    lent.release();
    return;
  }
  wait_for_reader(lent->stream);
  const py::gil_scoped_acquire gil;
  const py::error_scope kept;
  Py_DECREF(lent->array);
}

template <typename Form>
void discard(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, Form::kName)) return;  // somebody has taken it
  auto* form = static_cast<Form*>(PyCapsule_GetPointer(capsule, Form::kName));
  form->deleter(form);
}

void describe(dlpack::Tensor& tensor, const py::array& array, std::vector<int64_t>& shape,
              std::vector<int64_t>& strides) {
  const py::dtype dtype = array.dtype();
  const auto item = static_cast<int64_t>(dtype.itemsize());
  if (!is_known(dtype.kind(), item))
    fail_buffer(kLend,
                "float32, integers and booleans can be lent, got " + std::string(py::str(dtype)));
  for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
    if (array.strides(axis) % item != 0)
      fail_buffer(kLend, "neighbours must be whole elements apart");
    shape.push_back(array.shape(axis));
    strides.push_back(array.strides(axis) / item);
  }
  tensor.data = array.size() ? const_cast<void*>(array.data()) : nullptr;
  tensor.device_type = dlpack::kCuda;
  tensor.device_id = 0;
  tensor.ndim = static_cast<int32_t>(array.ndim());
  for (const Code& known : kCodes)
    if (known.kind == dtype.kind()) tensor.code = known.code;
  tensor.bits = static_cast<uint8_t>(8 * item);
  tensor.lanes = 1;
  tensor.shape = shape.data();
  tensor.strides = strides.data();
  tensor.byte_offset = 0;
}

template <typename Form>
py::object lend(const py::array& array, uint64_t flags, int64_t stream) {
  auto lent = std::make_unique<Lent<Form>>();
  describe(lent->form.tensor, array, lent->shape, lent->strides);
  lent->form.context = lent.get();
  lent->form.deleter = &end_of_lending<Form>;
  if constexpr (std::is_same_v<Form, ManagedVersioned>) {
    lent->form.major = 1;
    lent->form.flags = flags;
  }
  lent->stream = stream;
  PyObject* capsule = PyCapsule_New(&lent->form, Form::kName, &discard<Form>);
  if (!capsule) throw py::error_already_set();
  lent->array = array.inc_ref().ptr();
  lent.release();
  return py::reinterpret_steal<py::object>(capsule);
}

// `stream` has been made to wait by the caller.
py::object to_dlpack(const py::array& array, bool versioned, bool is_copied, int64_t stream) {
  check_home(kLend, "array", array);
  if (versioned)
    return lend<ManagedVersioned>(
        array, (array.writeable() ? 0 : dlpack::kReadOnly) | (is_copied ? dlpack::kIsCopied : 0),
        stream);
  if (!array.writeable())
    fail_buffer(kLend, "the array is read-only, which only DLPack 1.0 and later can say");
  return lend<Managed>(array, 0, stream);
}

// -- Borrowing --------------------------------------------------------------------------------

std::string type_text(const dlpack::Tensor& tensor) {
  static const char* const names[] = {"int",    "uint",    "float", "handle",
                                      "bfloat", "complex", "bool"};
  const std::string name = tensor.code < 7 ? std::string(names[tensor.code])
                                           : "type " + std::to_string(tensor.code) + " of bits ";
  return tensor.lanes == 1
             ? name + std::to_string(tensor.bits)
             : name + std::to_string(tensor.bits) + " x " + std::to_string(tensor.lanes);
}

py::dtype dtype_of(const dlpack::Tensor& tensor) {
  for (const Code& known : kCodes)
    if (known.code == tensor.code && tensor.lanes == 1 && tensor.bits % 8 == 0 &&
        is_known(known.kind, tensor.bits / 8))
      return py::dtype(std::string(1, known.kind) + std::to_string(tensor.bits / 8));
  fail_type(kBorrow, "on the device elements are float32, integers or booleans, got ",
            type_text(tensor));
}

Borrowed described(const dlpack::Tensor& tensor, bool writable) {
  if (tensor.device_type != dlpack::kCuda || tensor.device_id != 0)
    fail_buffer(kBorrow, "the array must lie on the CUDA device 0, got device " +
                             std::to_string(tensor.device_id) + " of DLPack's type " +
                             std::to_string(tensor.device_type));
  if (tensor.ndim < 0 || tensor.ndim > kMostAxes || (tensor.ndim > 0 && !tensor.shape))
    fail_buffer(kBorrow, "the array must have 0 to 64 axes, got " + std::to_string(tensor.ndim));
  Borrowed borrowed;
  borrowed.op = kBorrow;
  borrowed.dtype = dtype_of(tensor);
  borrowed.data =
      reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(tensor.data) + tensor.byte_offset);
  borrowed.shape.assign(tensor.shape, tensor.shape + tensor.ndim);
  const int64_t item = borrowed.dtype.itemsize();
  if (!tensor.strides) {
    borrowed.strides = c_strides(kBorrow, borrowed.shape, item);
  } else {
    borrowed.strides.assign(tensor.strides, tensor.strides + tensor.ndim);
    for (int64_t& stride : borrowed.strides)
      if (__builtin_mul_overflow(stride, item, &stride))
        fail_buffer(kBorrow, "the array is larger than any memory");
  }
  borrowed.writable = writable;
  check_borrowed(borrowed);
  return borrowed;
}

// Until the capsule is renamed it gives back by itself what it holds; from then on the loan does.
template <typename Form>
py::array take(const py::capsule& capsule) {
  auto* form = static_cast<Form*>(PyCapsule_GetPointer(capsule.ptr(), Form::kName));
  bool writable = true;
  if constexpr (std::is_same_v<Form, ManagedVersioned>) {
    if (form->major != 1)
      fail_buffer(kBorrow, "DLPack must be of version 1, got " + std::to_string(form->major) + "." +
                               std::to_string(form->minor));
    writable = !(form->flags & dlpack::kReadOnly);
  }
  const Borrowed borrowed = described(form->tensor, writable);
  Loan* loan = nullptr;
  const py::capsule owner = new_loan(loan);
  if (PyCapsule_SetName(capsule.ptr(), Form::kUsed) != 0) throw py::error_already_set();
  loan->lender = form;
  loan->give_back = [](void* lender) {
    auto* lent = static_cast<Form*>(lender);
    if (lent->deleter) lent->deleter(lent);
  };
  return borrowed_array(borrowed, owner);
}

py::array from_dlpack(const py::object& object) {
  if (!PyCapsule_CheckExact(object.ptr()))
    fail_type(kBorrow, "__dlpack__ must return a capsule, got ",
              std::string(py::str(py::type::handle_of(object).attr("__name__"))));
  const auto capsule = py::reinterpret_borrow<py::capsule>(object);
  if (PyCapsule_IsValid(object.ptr(), ManagedVersioned::kName))
    return take<ManagedVersioned>(capsule);
  if (PyCapsule_IsValid(object.ptr(), Managed::kName)) return take<Managed>(capsule);
  const char* name = PyCapsule_GetName(object.ptr());
  fail_buffer(kBorrow,
              "the capsule must be named 'dltensor' or 'dltensor_versioned' (one that was "
              "taken cannot be taken again), got " +
                  (name ? "'" + std::string(name) + "'" : "no name"));
}

}  // namespace

void register_dlpack(py::module_& m) {
  m.def("to_dlpack", &to_dlpack, py::arg("array"), py::arg("versioned"), py::arg("is_copied"),
        py::arg("stream"), "A DLPack capsule that lends a device's array to a reader's stream.");
  m.def("from_dlpack", &from_dlpack, py::arg("capsule"),
        "The device's array in a DLPack capsule, without a copy.");
}

}  // namespace neurona
