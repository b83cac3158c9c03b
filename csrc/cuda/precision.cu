#include "cuda/precision.h"

#include <atomic>

namespace neurona {
namespace {

std::atomic<ProductPrecision> chosen{ProductPrecision::kHighest};
std::atomic<Packing> chosen_packing{Packing::kWhereItPays};

}  // namespace

void set_product_precision(ProductPrecision precision) { chosen = precision; }
ProductPrecision product_precision() { return chosen; }

void set_packing(Packing packing) { chosen_packing = packing; }
Packing packing() { return chosen_packing; }

}  // namespace neurona
