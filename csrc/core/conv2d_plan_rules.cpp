#include "core/conv2d_plan_rules.h"

#include <cstring>
#include <sstream>

#include "core/errors.h"

namespace neurona {
namespace {

constexpr Conv2dVariant kVariants[] = {
    Conv2dVariant::kNaive,     Conv2dVariant::kDirect,   Conv2dVariant::kIm2col,
    Conv2dVariant::kPointwise, Conv2dVariant::kScatter,  Conv2dVariant::kDepthwise,
    Conv2dVariant::kNarrow,    Conv2dVariant::kWinograd, Conv2dVariant::kWinogradColumns};

}  // namespace

const char* variant_name(Conv2dVariant variant) {
  switch (variant) {
    case Conv2dVariant::kNaive: return "naive";
    case Conv2dVariant::kDirect: return "direct";
    case Conv2dVariant::kIm2col: return "im2col";
    case Conv2dVariant::kPointwise: return "pointwise";
    case Conv2dVariant::kScatter: return "scatter";
    case Conv2dVariant::kDepthwise: return "depthwise";
    case Conv2dVariant::kNarrow: return "narrow";
    case Conv2dVariant::kWinograd: return "winograd";
    case Conv2dVariant::kWinogradColumns: return "winograd_columns";
  }
  return "";
}

Conv2dVariant named_variant(const char* op, const char* name) {
  for (Conv2dVariant candidate : kVariants)
    if (std::strcmp(name, variant_name(candidate)) == 0) return candidate;
  fail_value(op,
             "variant must be one of 'naive', 'direct', 'im2col', 'pointwise', 'scatter', "
             "'depthwise', 'narrow', 'winograd', 'winograd_columns' or None, got '",
             name, "'");
}

std::string plan_text(const Conv2dShape& shape, Conv2dDirection direction, const Conv2dPlan& plan) {
  static constexpr const char* kDirections[] = {"forward", "backward_data", "backward_weight"};
  std::ostringstream text;
  text << "conv2d " << kDirections[static_cast<int>(direction)] << " x (" << shape.n << ", "
       << shape.c << ", " << shape.h << ", " << shape.w << ") weight (" << shape.k << ", "
       << shape.group_c() << ", " << shape.r << ", " << shape.s << ") -> y (" << shape.n << ", "
       << shape.k << ", " << shape.p << ", " << shape.q << "): " << variant_name(plan.variant)
       << " (" << plan.reason << "), " << 2 * shape.multiply_adds() / 1e6 << " Mflop";
  return text.str();
}

}  // namespace neurona
