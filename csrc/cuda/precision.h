// How exactly products of float32 matrices are computed, convolutions included.
#pragma once

namespace neurona {

enum class ProductPrecision {
  kHighest,  // float32
  kHigh,     // elements rounded to TF32, 10 bits of mantissa, on tensor cores; sums in float32
  kMedium,   // elements rounded to bfloat16, 7 bits; sums in float32
};

void set_product_precision(ProductPrecision precision);
ProductPrecision product_precision();

// Whether operands of rounded products are packed first, for the instructions of sm_90
// (packed_product.cuh). Tests and measurements choose; a device that has not these instructions
// never packs.
enum class Packing { kWhereItPays, kAlways, kNever };
void set_packing(Packing packing);
Packing packing();

// Whether blocks may share what they load, as clusters (packed_cluster.cuh); not where the
// environment says NEURONA_CUDA_CLUSTERS=0.
bool clusters_are_wanted();

}  // namespace neurona
