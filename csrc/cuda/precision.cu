#include "cuda/precision.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace neurona {
namespace {

std::atomic<ProductPrecision> chosen{ProductPrecision::kHighest};
std::atomic<Packing> chosen_packing{Packing::kWhereItPays};

}  // namespace

void set_product_precision(ProductPrecision precision) { chosen = precision; }
ProductPrecision product_precision() { return chosen; }

void set_packing(Packing packing) { chosen_packing = packing; }
Packing packing() { return chosen_packing; }

bool clusters_are_wanted() {
  static const bool wanted = [] {
    const char* wish = std::getenv("NEURONA_CUDA_CLUSTERS");
    return !wish || std::strcmp(wish, "0") != 0;
  }();
  return wanted;
}

}  // namespace neurona
