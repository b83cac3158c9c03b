// Enlarged maps: resampling, bed of nails, max unpooling. Each works in the dense order that its
// input already has, and keeps it.
#include <limits>

#include "bindings/array.h"
#include "bindings/pool2d_parameters.h"
#include "bindings/register.h"
#include "ops/resample.h"
#include "ops/unpool2d.h"

namespace neurona {
namespace {

constexpr int64_t kLargest = std::numeric_limits<int32_t>::max();

// An array (N, C, H, W) as the images that it is made of in memory: planes of one channel in C
// order.
struct Images {
  int64_t count, channels;
  Order order;
};

Images images_of(const std::vector<int64_t>& shape, Order order) {
  if (order == Order::kChannelsLast) return {shape[0], shape[1], order};
  return {shape[0] * shape[1], 1, order};
}

int64_t size_of(const std::vector<int64_t>& shape) {
  int64_t size = 1;
  for (int64_t extent : shape) size *= extent;
  return size;
}

std::vector<int32_t> positions(const char* op, const char* name, py::handle object,
                               int64_t length) {
  const IntInput given = int_table(op, name, object);
  if (given.ndim() != 1)
    fail_value(op, name, " must hold positions of shape (P,), got shape ",
               shape_text(given.shape.data(), given.ndim()));
  if (given.shape[0] > kLargest)
    fail_value(op, name, " must hold at most ", kLargest, " positions, got ", given.shape[0]);
  std::vector<int32_t> found(static_cast<size_t>(given.shape[0]));
  int64_t before = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const int64_t position = given.data[i];
    if (position < before || position >= length)
      fail_value(op, name, " must hold positions in [0, ", length, ") that never decrease, got ",
                 position, " at ", i);
    found[i] = static_cast<int32_t>(before = position);
  }
  return found;
}

// One of `rows`, `columns`: (below, above, part), the last two None where one pixel is read.
ResampleAxis taps_parameter(const char* op, const char* name, py::handle object, int64_t length) {
  if (!PyTuple_Check(object.ptr()) || PyTuple_Size(object.ptr()) != 3)
    fail_type(op, name, " must be a tuple (below, above, part), got ",
              std::string(py::str(py::type::handle_of(object).attr("__name__"))));
  if (length > kLargest)
    fail_value(op, name, " must be at most ", kLargest, " pixels long, got ", length);
  const auto taps = py::reinterpret_borrow<py::tuple>(object);
  const py::object below = taps[0], above = taps[1], part = taps[2];
  ResampleAxis axis;
  axis.length = length;
  axis.below = positions(op, name, below, length);
  if (above.is_none() != part.is_none())
    fail_type(op, name, " must have both above and part, or None for both");
  if (above.is_none()) return axis;
  axis.above = positions(op, name, above, length);
  const Input shares = float_table(op, name, part);
  if (shares.ndim() != 1)
    fail_value(op, name, " must have shape (P,), got ",
               shape_text(shares.shape.data(), shares.ndim()));
  if (axis.above.size() != axis.below.size() || shares.shape[0] != axis.count())
    fail_value(op, name, " must hold three arrays of one length, got ", axis.below.size(), ", ",
               axis.above.size(), " and ", shares.shape[0]);
  axis.part.assign(shares.data, shares.data + shares.shape[0]);
  return axis;
}

py::array resample_forward(py::object x_object, py::object rows_object, py::object columns_object) {
  constexpr const char* kOp = "resample2d";
  const Order order = natural_order(x_object);
  const Input x = input_array(kOp, "x", x_object, order, 4, "(N, C, H, W)");
  const ResampleAxis rows = taps_parameter(kOp, "rows", rows_object, x.shape[2]);
  const ResampleAxis columns = taps_parameter(kOp, "columns", columns_object, x.shape[3]);
  py::array y = new_floats({x.shape[0], x.shape[1], rows.count(), columns.count()}, order);
  float* data = floats(y);
  if (y.size() == 0) return y;
  const Images images = images_of(x.shape, order);
  py::gil_scoped_release release;
  resample2d_forward(images.count, images.channels, rows, columns, x.data, data);
  return y;
}

py::array resample_backward(py::object dy_object, py::object rows_object, py::object columns_object,
                            py::object input_size) {
  constexpr const char* kOp = "resample2d_backward";
  const Order order = natural_order(dy_object);
  const auto size = image_parameter(kOp, "input_size", input_size);
  const Input dy = input_array(kOp, "dy", dy_object, order, 4, "(N, C, P, Q)");
  const ResampleAxis rows = taps_parameter(kOp, "rows", rows_object, size[0]);
  const ResampleAxis columns = taps_parameter(kOp, "columns", columns_object, size[1]);
  if (dy.shape[2] != rows.count() || dy.shape[3] != columns.count())
    fail_value(kOp, "dy must have P, Q = ", rows.count(), ", ", columns.count(), ", got shape ",
               shape_text(dy.shape.data(), 4));
  py::array dx = new_floats({dy.shape[0], dy.shape[1], size[0], size[1]}, order);
  float* data = floats(dx);
  if (dx.size() == 0) return dx;
  const Images images = images_of(dy.shape, order);
  py::gil_scoped_release release;
  resample2d_backward(images.count, images.channels, rows, columns, dy.data, data);
  return dx;
}

py::array nails_forward(py::object x_object, py::object kernel_size) {
  constexpr const char* kOp = "bed_of_nails";
  const auto block = image_parameter(kOp, "kernel_size", kernel_size);
  const Order order = natural_order(x_object);
  const Input x = input_array(kOp, "x", x_object, order, 4, "(N, C, H, W)");
  check_range(kOp, "x's size", {x.shape[2], x.shape[3]}, 0);
  py::array y =
      new_floats({x.shape[0], x.shape[1], x.shape[2] * block[0], x.shape[3] * block[1]}, order);
  float* data = floats(y);
  if (y.size() == 0) return y;
  const Images images = images_of(x.shape, order);
  py::gil_scoped_release release;
  bed_of_nails_forward(images.count, {x.shape[2], x.shape[3]}, images.channels, block, x.data,
                       data);
  return y;
}

[[noreturn]] void fail_indices(const char* op, const IntInput& indices,
                               const std::array<int64_t, 2>& size) {
  const IndexRange range = index_range(indices.data, size_of(indices.shape));
  fail_value(op, "indices must be in 0..", size[0] * size[1] - 1, " for an output of ",
             shape_text(size.data(), 2), ", got ", range.smallest, " to ", range.largest);
}

py::array unpool_forward(py::object x_object, py::object indices_object, py::object output_size) {
  constexpr const char* kOp = "max_unpool2d";
  const auto size = image_parameter(kOp, "output_size", output_size);
  const Order order = natural_order(x_object);
  const Input x = input_array(kOp, "x", x_object, order, 4, "(N, C, P, Q)");
  const IntInput indices = int_array(kOp, "indices", indices_object, order);
  if (indices.shape != x.shape)
    fail_value(kOp, "indices must have the shape of x ", shape_text(x.shape.data(), 4),
               ", got shape ", shape_text(indices.shape.data(), indices.ndim()));
  py::array y = new_floats({x.shape[0], x.shape[1], size[0], size[1]}, order);
  float* data = floats(y);
  if (y.size() == 0) return y;
  const Images images = images_of(x.shape, order);
  const UnpoolShape shape{images.count, images.channels, {x.shape[2], x.shape[3]}, size};
  py::gil_scoped_release release;
  if (!max_unpool2d_forward(shape, x.data, indices.data, data)) fail_indices(kOp, indices, size);
  return y;
}

py::array unpool_backward(py::object dy_object, py::object indices_object) {
  constexpr const char* kOp = "max_unpool2d_backward";
  const Order order = natural_order(dy_object);
  const Input dy = input_array(kOp, "dy", dy_object, order, 4, "(N, C, H, W)");
  const IntInput indices = int_array(kOp, "indices", indices_object, order);
  if (indices.ndim() != 4 || indices.shape[0] != dy.shape[0] || indices.shape[1] != dy.shape[1])
    fail_value(kOp, "indices must have N, C of dy ", shape_text(dy.shape.data(), 4), ", got shape ",
               shape_text(indices.shape.data(), indices.ndim()));
  py::array dx = new_floats(indices.shape, order);
  float* data = floats(dx);
  if (dx.size() == 0) return dx;
  const Images images = images_of(dy.shape, order);
  const UnpoolShape shape{images.count,
                          images.channels,
                          {indices.shape[2], indices.shape[3]},
                          {dy.shape[2], dy.shape[3]}};
  py::gil_scoped_release release;
  if (!max_unpool2d_backward(shape, dy.data, indices.data, data))
    fail_indices(kOp, indices, shape.wide);
  return dx;
}

}  // namespace

void register_upsample(py::module_& m) {
  m.def("resample2d_forward", &resample_forward, py::arg("x"), py::arg("rows"), py::arg("columns"),
        "y (N, C, P, Q): x (N, C, H, W) read along both axes at (below, above, part), pixel below "
        "where above and part are None, else x[below] (1 - part) + x[above] part.");
  m.def("resample2d_backward", &resample_backward, py::arg("dy"), py::arg("rows"),
        py::arg("columns"), py::arg("input_size"),
        "dx (N, C, H, W): the adjoint of resample2d_forward; input_size = (H, W).");
  m.def("bed_of_nails_forward", &nails_forward, py::arg("x"), py::arg("kernel_size"),
        "y (N, C, H kh, W kw): x at the top left corners of blocks that are 0 elsewhere.");
  m.def("max_unpool2d_forward", &unpool_forward, py::arg("x"), py::arg("indices"),
        py::arg("output_size"),
        "y (N, C, H, W): x (N, C, P, Q) at flat positions of planes H x W that are 0 elsewhere; "
        "the last of several values for one place stays.");
  m.def("max_unpool2d_backward", &unpool_backward, py::arg("dy"), py::arg("indices"),
        "dx (N, C, P, Q): dy (N, C, H, W) read at the flat positions.");
}

}  // namespace neurona
