// How exactly the device computes products.
#include "cuda/platform/capability.h"
#include "cuda/packed_memory.h"
#include "cuda/precision.h"

#include "bindings/array.h"
#include "bindings/device.h"

namespace neurona {
namespace {

constexpr const char* kPrecisionNames[] = {"highest", "high", "medium"};
constexpr const char* kPackings[] = {"where it pays", "always", "never"};

void set_precision(const std::string& name) {
  for (int i = 0; i < 3; ++i)
    if (name == kPrecisionNames[i]) return set_product_precision(static_cast<ProductPrecision>(i));
  fail_value("set_product_precision", "precision must be 'highest', 'high' or 'medium', got '",
             name, "'");
}

void choose_packing(const std::string& name) {
  for (int i = 0; i < 3; ++i)
    if (name == kPackings[i]) return set_packing(static_cast<Packing>(i));
  fail_value("set_packing", "packing must be 'where it pays', 'always' or 'never', got '", name,
             "'");
}

}  // namespace

void register_precision(py::module_& m) {
  m.def("device_capability", &device_capability,
        "Major and minor number of its compute capability as one: 80, 90, 120.");
  m.def("set_product_precision", &set_precision, py::arg("precision"),
        "'highest' (float32), 'high' (TF32) or 'medium' (bfloat16), sums always in float32.");
  m.def(
      "product_precision", [] { return kPrecisionNames[static_cast<int>(product_precision())]; },
      "What set_product_precision was told.");
  m.def("set_packing", &choose_packing, py::arg("packing"),
        "Whether operands of rounded products are packed for the instructions of sm_90a, where the "
        "device has them: 'where it pays', 'always' or 'never'.");
  m.def("use_packed_again", &use_packed_again, py::arg("again"),
        "While True, what was packed before from the same memory is used again, changed or not: "
        "for measurements of products alone.");
  m.def("forget_packed", &forget_packed,
        "Frees what was kept meanwhile; how many operands that were.");
}

}  // namespace neurona
