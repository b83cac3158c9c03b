// Affine maps of images.
#include "ops/affine.h"

#include <limits>

#include "bindings/array.h"
#include "bindings/register.h"

namespace neurona {
namespace {

py::array sample(py::object images_object, py::object matrices_object, py::object fill_object,
                 py::object displacements_object) {
  constexpr const char* kOp = "affine_sample";
  const Input images = input_array(kOp, "images", images_object, Order::kC, 4, "(N, C, H, W)");
  const Input matrices = input_array(kOp, "matrices", matrices_object, Order::kC, 3, "(N, 2, 3)");
  const int64_t count = images.shape[0], channels = images.shape[1];
  const int64_t height = images.shape[2], width = images.shape[3];
  const int64_t expected[3] = {count, 2, 3};
  for (int axis = 0; axis < 3; ++axis)
    if (matrices.shape[axis] != expected[axis])
      fail_value(kOp, "matrices must have shape ", shape_text(expected, 3), ", got shape ",
                 shape_text(matrices.shape.data(), 3));
  if (!all_finite(matrices.data, matrices.size())) fail_value(kOp, "matrices must be finite");
  const auto fill = static_cast<float>(float_parameter(kOp, "fill", fill_object));
  const float* moves = nullptr;
  Input displacements;
  if (!displacements_object.is_none()) {
    displacements =
        input_array(kOp, "displacements", displacements_object, Order::kC, 4, "(N, 2, H, W)");
    const int64_t fields[4] = {count, 2, height, width};
    for (int axis = 0; axis < 4; ++axis)
      if (displacements.shape[axis] != fields[axis])
        fail_value(kOp, "displacements must have shape ", shape_text(fields, 4), ", got shape ",
                   shape_text(displacements.shape.data(), 4));
    moves = displacements.data;
  }
  py::array y = new_floats(images.shape, Order::kC);
  float* data = floats(y);
  if (y.size() == 0) return y;
  // The frame of two pixels around the image has 32-bit positions as well.
  constexpr int64_t kLargest = std::numeric_limits<int32_t>::max();
  if (height > kLargest / 2 || width > kLargest / 2 || (height + 4) * (width + 4) > kLargest)
    fail_value(kOp, "images must have fewer than ", kLargest, " pixels, got shape ",
               shape_text(images.shape.data(), 4));
  py::gil_scoped_release release;
  affine_sample(count, channels, height, width, images.data, matrices.data, fill, moves, data);
  return y;
}

}  // namespace

void register_affine(py::module_& m) {
  m.def("affine_sample", &sample, py::arg("images"), py::arg("matrices"), py::arg("fill") = 0.0,
        py::arg("displacements") = py::none(),
        "Each of the images (N, C, H, W) seen through its own of the matrices (N, 2, 3), moved by "
        "the displacements (N, 2, H, W), sampled bilinearly; `fill` outside.");
}

}  // namespace neurona
