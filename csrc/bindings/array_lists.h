// Lists of arrays that an optimizer updates, checked once and translated.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "bindings/array.h"
#include "bindings/memory.h"

namespace neurona {

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
    for (const auto& [target, copy] : copies_) copy_elements(target, copy);
  }

 private:
  static std::string position(const char* list, size_t i) {
    return list + ("[" + std::to_string(i) + "]");
  }

  static std::string text(const py::array& array) {
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

  static Extent extent_of(const py::array& array, bool updated, const char* list, size_t i) {
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
  static bool is_plain(py::handle object) {
    static PyObject* float32 = py::dtype::of<float>().release().ptr();
    constexpr int kPlain =
        py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    if (Py_TYPE(object.ptr()) != py::detail::npy_api::get().PyArray_Type_)
      return false;  // no subclass: it may be masked
    const auto array = py::reinterpret_borrow<py::array>(object);
    return py::detail::array_proxy(array.ptr())->descr == float32 &&
           (array.flags() & kPlain) == kPlain;
  }

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
                           ? at_home(name, i, object)
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

  py::array at_home(const char* name, size_t i, py::handle object) const {
    auto array = py::reinterpret_borrow<py::array>(object);
    if constexpr (kHomesDiffer) check_home(op_, position(name, i).c_str(), array);
    return array;
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

}  // namespace neurona
