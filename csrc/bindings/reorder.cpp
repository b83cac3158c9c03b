// Images from one memory order to the other.
#include "ops/reorder.h"

#include <algorithm>

#include "bindings/array.h"
#include "bindings/register.h"
#include "bindings/run_kernel.h"

namespace neurona {
namespace {

py::array reorder(py::object x_object, py::object channels_last_object) {
  constexpr const char* kOp = "reorder";
  const bool channels_last = bool_parameter(kOp, "channels_last", channels_last_object);
  const Order from = channels_last ? Order::kC : Order::kChannelsLast,
              to = channels_last ? Order::kChannelsLast : Order::kC;
  const Input x = input_array(kOp, "x", x_object, from, 4, "(N, C, H, W)");
  py::array result = new_floats(x.shape, to);
  float* y = floats(result);
  const int64_t images = x.shape[0], channels = x.shape[1], pixels = x.shape[2] * x.shape[3];
  const int64_t rows = channels_last ? channels : pixels,
                columns = channels_last ? pixels : channels;
  run_kernel([=, x = x.data] { reorder_images(x, images, rows, columns, y); });
  return result;
}

}  // namespace

void register_reorder(py::module_& m) {
  m.def("reorder", &reorder, py::arg("x"), py::arg("channels_last"),
        "The images x (N, C, H, W) in channels-last memory or in C order.");
}

}  // namespace neurona
