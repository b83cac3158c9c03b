#include "bindings/packed_weight.h"

#include <algorithm>

#include "bindings/register.h"
#include "bindings/run_kernel.h"
#include "ops/conv2d_packed.h"
#include "ops/gemm.h"
#include "ops/gemm_strips.h"

namespace neurona {
namespace {

constexpr const char* kPackedWeight = "PackedWeight";

// The elements are kept for as long as what was made of them.
struct Kept {
  Input weight;
  PackedWeight packed;

  explicit Kept(py::handle array)
      : weight(input_array(kPackedWeight, "weight", array, Order::kC)), packed(weight.data) {}
};

// What was packed of `array`, or null: of its very elements, which nobody may write to.
Kept* kept(py::handle array) {
  if (Py_TYPE(array.ptr()) == py::detail::npy_api::get().PyArray_Type_) return nullptr;
  const py::object attribute = py::getattr(array, "packed", py::none());
  if (!py::isinstance<Kept>(attribute)) return nullptr;
  auto* found = attribute.cast<Kept*>();
  const auto elements = py::reinterpret_borrow<py::array>(array);
  const std::vector<int64_t>& shape = found->weight.shape;
  const bool same = elements.data() == found->weight.data &&
                    elements.ndim() == found->weight.ndim() &&
                    std::equal(shape.begin(), shape.end(), elements.shape()) &&
                    (elements.flags() & py::array::c_style) && !elements.writeable();
  return same ? found : nullptr;
}

}  // namespace

bool run_packed(py::handle weight, const Conv2dShape& shape, const float* x, const float* bias,
                const Epilogue& after, float* y) {
  Kept* found = kept(weight);
  const Conv2dVariant variant = found ? plan_packed_conv2d(shape) : Conv2dVariant::kNaive;
  if (variant == Conv2dVariant::kNaive) return false;
  const float* packed = pack_conv2d_weight(shape, variant, found->packed);
  run_kernel([=] {
    conv2d_packed_forward(shape, variant, x, packed, bias, in_tile(after), y);
    finish_activation(after, y, shape.n * shape.k * shape.p * shape.q);
  });
  return true;
}

const float* packed_columns(py::handle weight, const GemmShape& shape) {
  Kept* found = kept(weight);
  if (!found || gemm_prefers_strips(shape)) return nullptr;
  return found->packed.in(
      WeightOrder::kPanels, 1, [&] { return gemm_packed_b_size(shape); },
      [&](const float* elements, float* packed) {
        gemm_pack_b(shape, {elements, shape.k, true}, packed);
      });
}

void register_packed_weight(py::module_& m) {
  py::class_<Kept>(m, "PackedWeight",
                   "The weights of a convolution or a linear layer in the orders in which the "
                   "kernels read them, each made when it is first needed.")
      .def(py::init<py::handle>(), py::arg("weight"));
}

}  // namespace neurona
