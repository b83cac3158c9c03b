#include "cuda/precision.h"

#include <atomic>

namespace neurona {
namespace {

std::atomic<ProductPrecision> chosen{ProductPrecision::kHighest};

}  // namespace

void set_product_precision(ProductPrecision precision) { chosen = precision; }
ProductPrecision product_precision() { return chosen; }

}  // namespace neurona
