// Products by a warpgroup (wgmma, sm_90a): 128 threads, four warps of which the first has a
// multiple of 4 for its number, multiply tiles in shared memory with sums in their registers,
//
//   D (64, columns) = [D] + A (64, depth) B (columns, depth)^T
//
// with a depth of 16 elements of bfloat16 or 8 of TF32, and 64, 128 or 256 columns. Tiles have
// lines of 128 bytes and the 128-byte swizzle, as load_tile() leaves them. Either the lines are
// those of A and B, 128 bytes of the depth each ("along the depth"); or, bfloat16 alone, there is a
// line for each element of the depth, and 64 rows or columns side by side in it ("across"). Of a
// thread's sums, those of row 16 warp + g and + 8 and of columns 8 j + 2 t and + 1 are sums[j], in
// mma.sync's order for C.
//
// The products run by themselves. begin_products() comes before the first of them and after sums
// were touched; until wait_for_products() returns, neither the sums nor the tiles may be touched.
#pragma once

#include "cuda/ptx/barrier.cuh"
#include "cuda/ptx/mma.cuh"

namespace neurona {

// How a product finds a tile (PTX, "matrix descriptor"): in units of 16 bytes, where it starts, two
// distances, and in the two highest bits the swizzle. From bit 32 on stands how far 8 lines are
// from the next. From bit 16 on, for tiles across the depth, how far 64 rows or columns are from
// the next; for the others it is not looked at.
__device__ inline uint64_t swizzled_descriptor(const void* tile, uint64_t bytes_to_next_64) {
  constexpr uint64_t kEightLines = 8 * 128 / 16, kSwizzle128 = 1;
  return (shared_address(tile) >> 4 & 0x3fff) | bytes_to_next_64 / 16 << 16 | kEightLines << 32 |
         kSwizzle128 << 62;
}

// The two orders: a tile's descriptor, and what is added to it for the next product's depth.
struct AlongDepth {
  static constexpr uint64_t kNextProduct = 32 / 16;  // 32 bytes of each line
  static constexpr bool kAcross = false;
  __device__ static uint64_t descriptor(const void* tile) { return swizzled_descriptor(tile, 16); }
};
// 64 rows or columns of kLines lines lie behind the 64 before them.
template <int kLines>
struct AcrossDepth {
  static constexpr uint64_t kNextProduct = 16 * 128 / 16;  // 16 lines
  static constexpr bool kAcross = true;
  __device__ static uint64_t descriptor(const void* tile) {
    return swizzled_descriptor(tile, kLines * 128);
  }
};

template <int kColumns>
using WarpgroupSums = float[kColumns / 8][4];

#if defined(__CUDACC__)

__device__ inline void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Until at most kLeft of the committed groups are not done; the sums may be read if none is left.
template <int kLeft, int kColumns>
__device__ inline void wait_for_products(float (&sums)[kColumns][4]) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
  constexpr int kReadable = kLeft == 0 ? 4 * kColumns : 0;
  NEURONA_UNROLL
  for (int i = 0; i < kReadable; ++i)  // no use of the sums may be moved before the wait
    asm volatile("" : "+f"(sums[i / 4][i % 4])::"memory");
}

// The warpgroup's threads give registers back, or wait for more of them; a multiple of 8.
template <int kRegisters>
__device__ inline void release_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ inline void acquire_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// Lists of registers and operands for the three widths.
#define NEURONA_REGISTERS_32                                                         \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, " \
  "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define NEURONA_REGISTERS_64                                                         \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, " \
  "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, " \
  "%34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, " \
  "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define NEURONA_REGISTERS_128                                                        \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, " \
  "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, " \
  "%34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, " \
  "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, %64, %65, " \
  "%66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, " \
  "%82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, " \
  "%98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, "     \
  "%111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, "   \
  "%124, %125, %126, %127"
#define NEURONA_SUMS_4(j) "+f"(sums[j][0]), "+f"(sums[j][1]), "+f"(sums[j][2]), "+f"(sums[j][3])
#define NEURONA_SUMS_16(j) \
  NEURONA_SUMS_4(j), NEURONA_SUMS_4(j + 1), NEURONA_SUMS_4(j + 2), NEURONA_SUMS_4(j + 3)
#define NEURONA_SUMS_32(j) NEURONA_SUMS_16(j), NEURONA_SUMS_16(j + 4)
#define NEURONA_SUMS_64(j) \
  NEURONA_SUMS_16(j), NEURONA_SUMS_16(j + 4), NEURONA_SUMS_16(j + 8), NEURONA_SUMS_16(j + 12)
#define NEURONA_SUMS_128(j) NEURONA_SUMS_64(j), NEURONA_SUMS_64(j + 16)

// The last numbers are the signs of A and B, and for bfloat16 whether their tiles lie across.
#define NEURONA_WGMMA(registers, shape, type, a, b, predicate, options)                  \
  asm volatile("{ .reg .pred add; setp.ne.b32 add, " predicate                           \
               ", 0; wgmma.mma_async.sync.aligned." shape ".f32." type "." type          \
               " {" NEURONA_REGISTERS_##registers "}, " a ", " b ", add, " options "; }" \
               : NEURONA_SUMS_##registers(0)                                             \
               : "l"(tile_a), "l"(tile_b), "r"(static_cast<int>(accumulate)))
#define NEURONA_MULTIPLY_TILES(columns, registers, a, b, predicate)                           \
  template <typename Order>                                                                   \
  __device__ inline void multiply_tiles(Bfloat16, Order, WarpgroupSums<columns>& sums,        \
                                        uint64_t tile_a, uint64_t tile_b, bool accumulate) {  \
    if constexpr (Order::kAcross)                                                             \
      NEURONA_WGMMA(registers, "m64n" #columns "k16", "bf16", a, b, predicate, "1, 1, 1, 1"); \
    else                                                                                      \
      NEURONA_WGMMA(registers, "m64n" #columns "k16", "bf16", a, b, predicate, "1, 1, 0, 0"); \
  }                                                                                           \
  __device__ inline void multiply_tiles(Tf32, AlongDepth, WarpgroupSums<columns>& sums,       \
                                        uint64_t tile_a, uint64_t tile_b, bool accumulate) {  \
    NEURONA_WGMMA(registers, "m64n" #columns "k8", "tf32", a, b, predicate, "1, 1");          \
  }

NEURONA_MULTIPLY_TILES(64, 32, "%32", "%33", "%34")
NEURONA_MULTIPLY_TILES(128, 64, "%64", "%65", "%66")
NEURONA_MULTIPLY_TILES(256, 128, "%128", "%129", "%130")

#undef NEURONA_MULTIPLY_TILES
#undef NEURONA_WGMMA
#undef NEURONA_REGISTERS_32
#undef NEURONA_REGISTERS_64
#undef NEURONA_REGISTERS_128
#undef NEURONA_SUMS_4
#undef NEURONA_SUMS_16
#undef NEURONA_SUMS_32
#undef NEURONA_SUMS_64
#undef NEURONA_SUMS_128

#else

inline void begin_products(emulation::Place place = emulation::Place::current()) {
  const emulation::Site site = emulation::site_of("wgmma.fence", place);
  emulation::block().wgmma.fence(site);
}
inline void commit_products(emulation::Place place = emulation::Place::current()) {
  const emulation::Site site = emulation::site_of("wgmma.commit_group", place);
  emulation::block().wgmma.commit(site);
}

template <int kLeft, int kColumns>
void wait_for_products(float (&)[kColumns][4],
                       emulation::Place place = emulation::Place::current()) {
  const emulation::Site site = emulation::site_of("wgmma.wait_group", place);
  emulation::block().wgmma.wait(site, kLeft);
}

// Registers are not emulated, but that all threads of the warpgroup change their number together.
template <int kRegisters>
void release_registers(emulation::Place place = emulation::Place::current()) {
  static_assert(kRegisters % 8 == 0 && 24 <= kRegisters && kRegisters <= 256);
  const emulation::Site site = emulation::site_of("setmaxnreg", place);
  emulation::meet(site, nullptr, [](size_t, void* const*) {});
}
template <int kRegisters>
void acquire_registers(emulation::Place place = emulation::Place::current()) {
  release_registers<kRegisters>(place);
}

template <typename Number, typename Order, int kColumns>
void multiply_tiles(Number, Order, float (&sums)[kColumns][4], uint64_t tile_a, uint64_t tile_b,
                    bool accumulate, emulation::Place place = emulation::Place::current()) {
  constexpr bool kIsBfloat16 = Number::kPerWord == 2;
  static_assert(kIsBfloat16 || !Order::kAcross);
  const emulation::Site site = emulation::site_of("wgmma.mma_async", place);
  emulation::block().wgmma.multiply(
      site, {tile_a, tile_b, 8 * kColumns, kIsBfloat16, Order::kAcross, accumulate, sums[0]});
}

#endif

}  // namespace neurona
