// ldmatrix: a warp reads four matrices of 8 rows of 16 bytes each from shared memory. Lane 8 i + r
// says where row r of matrix i lies, at a multiple of 16 bytes; lane 4 r + w receives word w of row
// r of all four. Eight rows that lie in different groups of four banks are read at once.
#pragma once

#include "cuda/device.h"

namespace neurona {

#if defined(__CUDACC__)

__device__ inline void load_matrices(uint32_t (&words)[4], const void* row) {
  const auto place = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(place)
               : "memory");
}

#else

// What a lane brings: a row, and where its words go.
struct MatrixRow {
  const void* row;
  uint32_t* words;
};

inline void load_matrices(uint32_t (&words)[4], const void* row) {
  static constexpr emulation::Site kSite = NEURONA_SITE("ldmatrix");
  emulation::check_shared(kSite, row, 16);
  MatrixRow own{row, words};
  emulation::exchange(kSite, kAllLanes, &own, [](uint32_t lanes, void* const* offers) {
    const auto of = [&](int lane) { return *static_cast<const MatrixRow*>(offers[lane]); };
    emulation::for_lanes(lanes, [&](int lane) {
      for (int matrix = 0; matrix < 4; ++matrix)
        of(lane).words[matrix] =
            static_cast<const uint32_t*>(of(8 * matrix + lane / 4).row)[lane % 4];
    });
  });
}

#endif

}  // namespace neurona
