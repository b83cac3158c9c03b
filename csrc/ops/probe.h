// The machine's own limits, measured: the peak of multiply-adds and the memory bandwidth.
#pragma once

#include <cstdint>

namespace neurona {

double measure_fma_peak(double seconds, int threads);  // flop/s of all threads together
double measure_bandwidth(
    int64_t mebibytes,
    int threads);  // bytes/s of a triad over three arrays of that size, best of 5

}  // namespace neurona
