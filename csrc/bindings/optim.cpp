// Optimizer steps over lists of arrays, in place.
#include "ops/optim.h"

#include <algorithm>
#include <string>

#include "bindings/array.h"
#include "bindings/register.h"

namespace neurona {
namespace {

std::string position(const char* list, size_t i) { return list + ("[" + std::to_string(i) + "]"); }

std::string text(const py::array& array) {
  return shape_text(std::vector<int64_t>(array.shape(), array.shape() + array.ndim()).data(),
                    array.ndim());
}

// The memory that an array spans, and where it came from.
struct Extent {
  uintptr_t begin, end;
  bool updated;
  const char* list;
  size_t i;
  py::handle array;
};

Extent extent_of(const py::array& array, bool updated, const char* list, size_t i) {
  auto begin = reinterpret_cast<uintptr_t>(array.data()),
       end = begin + static_cast<uintptr_t>(array.itemsize());
  for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
    const py::ssize_t reach = (array.shape(axis) - 1) * array.strides(axis);
    (reach < 0 ? begin : end) += static_cast<uintptr_t>(reach);
  }
  return {begin, end, updated, list, i, array};
}

// A float32 array that kernels can use as it is, in C order: the common case, decided without
// looking at strides.
bool is_plain(py::handle object) {
  static PyObject* float32 = py::dtype::of<float>().release().ptr();
  constexpr int kPlain =
      py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if (Py_TYPE(object.ptr()) != py::detail::npy_api::get().PyArray_Type_)
    return false;  // no subclass: it may be masked
  const auto array = py::reinterpret_borrow<py::array>(object);
  return py::detail::array_proxy(array.ptr())->descr == float32 &&
         (array.flags() & kPlain) == kPlain;
}

// Lists of arrays that belong to the same parameters one by one. Arrays of another order than their
// parameter, or not dense at all, are replaced by copies, which `write_back` brings home.
class ArrayLists {
 public:
  ArrayLists(const char* op, py::handle params) : op_(op) {
    params_ = list("params", params);
    orders_.reserve(params_.size());
    data_.reserve(params_.size());
    for (size_t i = 0; i < params_.size(); ++i) {
      orders_.push_back(is_plain(params_[i]) ? Order::kC : natural_order(params_[i]));
      data_.push_back(updated("params", i, params_[i]));
    }
  }

  size_t count() const { return params_.size(); }
  int64_t size(size_t i) const { return py::reinterpret_borrow<py::array>(params_[i]).size(); }
  float* param(size_t i) const { return data_[i]; }

  std::vector<float*> updated_list(const char* name, py::handle object) {
    const py::list arrays = matching_list(name, object);
    std::vector<float*> data(count());
    for (size_t i = 0; i < count(); ++i) data[i] = updated(name, i, arrays[i]);
    return data;
  }

  std::vector<const float*> read_list(const char* name, py::handle object) {
    const py::list arrays = matching_list(name, object);
    std::vector<const float*> data(count());
    for (size_t i = 0; i < count(); ++i) {
      const py::array array = dense(name, i, arrays[i], false);
      data[i] = static_cast<const float*>(array.data());
    }
    return data;
  }

  // ValueError when an array that is updated shares memory with any other.
  void check_overlaps() {
    std::sort(extents_.begin(), extents_.end(),
              [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
    uintptr_t updated_end = 0, any_end = 0;
    for (const Extent& extent : extents_) {
      if (extent.begin < updated_end || (extent.updated && extent.begin < any_end))
        return check_pairs();
      any_end = std::max(any_end, extent.end);
      if (extent.updated) updated_end = std::max(updated_end, extent.end);
    }
  }

  void write_back() const {
    if (copies_.empty()) return;
    const py::object copyto = py::module_::import("numpy").attr("copyto");
    for (const auto& [target, copy] : copies_) copyto(target, copy);
  }

 private:
  py::list list(const char* name, py::handle object) const {
    if (!PyList_Check(object.ptr()) && !PyTuple_Check(object.ptr()))
      fail_type(op_, name, " must be a list of arrays, got ",
                std::string(py::str(py::type::handle_of(object).attr("__name__"))));
    // A list of our own: nobody else can change it while the GIL is free.
    return py::reinterpret_steal<py::list>(PySequence_List(object.ptr()));
  }

  py::list matching_list(const char* name, py::handle object) const {
    py::list arrays = list(name, object);
    if (arrays.size() != count())
      fail_value(op_, name, " must have one array per parameter (", count(), "), got ",
                 arrays.size());
    return arrays;
  }

  // The array in the order of its parameter: itself, when it can be used as it is.
  py::array dense(const char* name, size_t i, py::handle object, bool is_updated) {
    py::array usable = orders_[i] == Order::kC && is_plain(object)
                           ? py::reinterpret_borrow<py::array>(object)
                           : input_array(op_, position(name, i).c_str(), object, orders_[i]).holder;
    const auto array = py::reinterpret_borrow<py::array>(object);
    const auto param = py::reinterpret_borrow<py::array>(params_[i]);
    if (array.ndim() != param.ndim() ||
        !std::equal(array.shape(), array.shape() + array.ndim(), param.shape()))
      fail_value(op_, position(name, i), " must have shape ", text(param), ", got shape ",
                 text(array));
    if (is_updated && !array.writeable())
      fail_value(op_, position(name, i), " must be writable, got a read-only array");
    if (array.size() > 0) extents_.push_back(extent_of(array, is_updated, name, i));
    if (is_updated && !usable.is(array)) copies_.emplace_back(array, usable);
    holders_.push_back(usable);
    return usable;
  }

  float* updated(const char* name, size_t i, py::handle object) {
    py::array array = dense(name, i, object, true);
    return floats(array);
  }

  // Spans may overlap although the elements do not (interleaved views): NumPy decides.
  void check_pairs() const {
    const py::object shares_memory = py::module_::import("numpy").attr("shares_memory");
    for (size_t a = 0; a < extents_.size(); ++a)
      for (size_t b = a + 1; b < extents_.size() && extents_[b].begin < extents_[a].end; ++b) {
        const Extent &first = extents_[a], &second = extents_[b];
        if ((first.updated || second.updated) &&
            py::bool_(shares_memory(first.array, second.array)))
          fail_value(op_, position(second.list, second.i),
                     " must not share memory with an array that is updated, got the memory of ",
                     position(first.list, first.i));
      }
  }

  const char* op_;
  py::list params_;
  std::vector<Order> orders_;
  std::vector<float*> data_;
  std::vector<Extent> extents_;
  std::vector<py::array> holders_;
  std::vector<std::pair<py::array, py::array>> copies_;
};

void sgd_step_binding(py::object params, py::object grads, py::object buffers, py::object lr,
                      py::object momentum, py::object dampening, py::object weight_decay,
                      py::object nesterov, py::object maximize, py::object first) {
  constexpr const char* kOp = "sgd_step";
  const SgdOptions options{float_parameter(kOp, "lr", lr),
                           float_parameter(kOp, "momentum", momentum),
                           float_parameter(kOp, "dampening", dampening),
                           float_parameter(kOp, "weight_decay", weight_decay),
                           bool_parameter(kOp, "nesterov", nesterov),
                           bool_parameter(kOp, "maximize", maximize),
                           bool_parameter(kOp, "first", first)};
  check_options(kOp, options);
  const bool has_momentum = options.momentum != 0;
  if (has_momentum && buffers.is_none())
    fail_value(kOp, "buffers must be given when momentum != 0, got None");
  ArrayLists lists(kOp, params);
  const auto gradients = lists.read_list("grads", grads);
  const auto velocities =
      has_momentum ? lists.updated_list("buffers", buffers) : std::vector<float*>(lists.count());
  lists.check_overlaps();
  std::vector<SgdTensor> tensors(lists.count());
  for (size_t i = 0; i < tensors.size(); ++i)
    tensors[i] = {lists.size(i), lists.param(i), gradients[i], velocities[i]};
  {
    py::gil_scoped_release release;
    sgd_step(options, tensors);
  }
  lists.write_back();
}

void adam_step_binding(py::object params, py::object grads, py::object exp_avgs,
                       py::object exp_avg_sqs, py::object step, py::object lr, py::object beta1,
                       py::object beta2, py::object eps, py::object weight_decay,
                       py::object decoupled, py::object maximize, py::object max_exp_avg_sqs) {
  constexpr const char* kOp = "adam_step";
  const AdamOptions options{float_parameter(kOp, "lr", lr),
                            float_parameter(kOp, "beta1", beta1),
                            float_parameter(kOp, "beta2", beta2),
                            float_parameter(kOp, "eps", eps),
                            float_parameter(kOp, "weight_decay", weight_decay),
                            bool_parameter(kOp, "decoupled", decoupled),
                            bool_parameter(kOp, "maximize", maximize),
                            int_parameter(kOp, "step", step)};
  check_options(kOp, options);
  ArrayLists lists(kOp, params);
  const auto gradients = lists.read_list("grads", grads);
  const auto means = lists.updated_list("exp_avgs", exp_avgs),
             squares = lists.updated_list("exp_avg_sqs", exp_avg_sqs);
  const auto largest = max_exp_avg_sqs.is_none()
                           ? std::vector<float*>(lists.count())
                           : lists.updated_list("max_exp_avg_sqs", max_exp_avg_sqs);
  lists.check_overlaps();
  std::vector<AdamTensor> tensors(lists.count());
  for (size_t i = 0; i < tensors.size(); ++i)
    tensors[i] = {lists.size(i), lists.param(i), gradients[i], means[i], squares[i], largest[i]};
  {
    py::gil_scoped_release release;
    adam_step(options, tensors);
  }
  lists.write_back();
}

}  // namespace

void register_optim(py::module_& m) {
  m.def("sgd_step", &sgd_step_binding, py::arg("params"), py::arg("grads"), py::arg("buffers"),
        py::kw_only(), py::arg("lr"), py::arg("momentum") = 0.0, py::arg("dampening") = 0.0,
        py::arg("weight_decay") = 0.0, py::arg("nesterov") = false, py::arg("maximize") = false,
        py::arg("first") = false,
        "Updates params, and buffers when momentum != 0, in place; first=True sets the buffers to "
        "the gradient.");
  m.def("adam_step", &adam_step_binding, py::arg("params"), py::arg("grads"), py::arg("exp_avgs"),
        py::arg("exp_avg_sqs"), py::kw_only(), py::arg("step"), py::arg("lr"),
        py::arg("beta1") = 0.9, py::arg("beta2") = 0.999, py::arg("eps") = 1e-8,
        py::arg("weight_decay") = 0.0, py::arg("decoupled") = false, py::arg("maximize") = false,
        py::arg("max_exp_avg_sqs") = py::none(),
        "Updates params, exp_avgs, exp_avg_sqs and (amsgrad) max_exp_avg_sqs in place; "
        "decoupled=True is AdamW.");
}

}  // namespace neurona
