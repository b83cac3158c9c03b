// The machine's own limits, measured: the peak of multiply-adds and the memory bandwidth.
#pragma once

#include <cstdint>

namespace neurona {

// Flop/s of all threads together: the best tenth of a millisecond of each, or, sustained, the
// median one, which is what a perfect kernel would have got meanwhile.
double measure_fma_peak(double seconds, int threads, bool sustained);
double measure_bandwidth(
    int64_t mebibytes,
    int threads);  // bytes/s of a triad over three arrays of that size, best of 5

}  // namespace neurona
