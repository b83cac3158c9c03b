// Max unpooling with the indices of disjoint windows of 2 x 2 pixels, forward and backward. Outputs
// are overwritten.
//
// Vectors run along the channels. Each lane's index is one of four known places, so four vectors
// are loaded or stored and compared with it, instead of an element fetched or written for each
// lane. The last vector of a pixel is moved back so that it is whole.
#include "kernels/unpool.h"

#include "kernels/stream.inl"

namespace neurona::NEURONA_ISA {
namespace {

// The lower halves of kLanes places, in little-endian order, and in every second lane of `words`
// what their upper halves hold.
struct Places {
  UintVec low;
  IntVec words;
};

NEURONA_INLINE Places load_places(const int64_t* indices) {
  const int32_t* halves = reinterpret_cast<const int32_t*>(indices);
  const IntVec a = load_int(halves), b = load_int(halves + kLanes);
#if NEURONA_LANES == 4
  const IntVec low = __builtin_shufflevector(a, b, 0, 2, 4, 6);
#elif NEURONA_LANES == 8
  const IntVec low = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
#else
  const IntVec low =
      __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
#endif
  return {(UintVec)low, a | b};
}

// No column but 0 and 1, and nothing in the upper halves.
NEURONA_INLINE bool all_in_windows(UintVec columns, IntVec words) {
  uint32_t beyond = 0;
  for (int i = 0; i < kLanes; ++i) beyond |= columns[i] & ~1u;
  for (int i = 1; i < kLanes; i += 2) beyond |= static_cast<uint32_t>(words[i]);
  return beyond == 0;
}

// Calls body(at, corner, place) for the vectors of a row of windows: where one lies among the thin
// pixels, where the first of its window's four vectors lies in the two wide rows, and its indices
// as places in the window, 0, 1, line and line + 1. Returns whether they are.
template <typename Body>
NEURONA_INLINE bool for_each_vector(int64_t windows, int64_t channels, int64_t first,
                                    const int64_t* indices, const Body& body) {
  const auto line = static_cast<uint32_t>(2 * windows);
  UintVec columns = {};
  IntVec words = {};
  for (int64_t q = 0, pixel = 0; q < windows; ++q, pixel += channels) {
    const auto corner = static_cast<uint32_t>(first + 2 * q);
    for (int64_t next = 0; next < channels; next += kLanes) {
      const int64_t c = next + kLanes <= channels ? next : channels - kLanes;
      const Places places = load_places(indices + pixel + c);
      const UintVec place = places.low - corner, below = place - line;
      // In the upper row of the window the subtraction wraps around.
      columns |= place < below ? place : below;
      words |= places.words;
      body(pixel + c, 2 * pixel + c, (IntVec)place);
    }
  }
  return all_in_windows(columns, words);
}

// Past the caches only if all pixels begin with a whole vector of memory.
NEURONA_INLINE bool can_stream(const float* pixels, int64_t channels, bool past_caches) {
  return past_caches && channels % kLanes == 0 && floats_to_vector(pixels, kLanes) == 0;
}

template <bool kPastCaches>
bool fill_pixels(int64_t windows, int64_t channels, int64_t first, const float* x,
                 const int64_t* indices, float* y) {
  const auto line = static_cast<int32_t>(2 * windows);
  float* below = y + line * channels;
  const bool all = for_each_vector(
      windows, channels, first, indices,
      [&](int64_t at, int64_t corner, IntVec place) __attribute__((always_inline)) {
        const Vec value = load(x + at);
        const auto put = [&](float* pixel, int32_t own) __attribute__((always_inline)) {
          store_or_stream<kPastCaches>(pixel, select(place == own, value, Vec{}));
        };
        put(y + corner, 0);
        put(y + corner + channels, 1);
        put(below + corner, line);
        put(below + corner + channels, line + 1);
      });
  end_stream<kPastCaches>();
  return all;
}

bool fill_windows(int64_t windows, int64_t channels, int64_t first, const float* x,
                  const int64_t* indices, float* y, bool past_caches) {
  const auto run = can_stream(y, channels, past_caches) ? fill_pixels<true> : fill_pixels<false>;
  return run(windows, channels, first, x, indices, y);
}

// Floats between a vector of dy and the one that is asked for meanwhile. The compiler makes masked
// loads, which presumably wait for the index behind their mask: on a Zen 5, 22 MB from memory take
// 0.6 to 0.85 of the time with this.
constexpr int64_t kAhead = 512;

template <bool kPastCaches>
bool read_pixels(int64_t windows, int64_t channels, int64_t first, const float* dy,
                 const int64_t* indices, float* dx) {
  const auto line = static_cast<int32_t>(2 * windows);
  const float* below = dy + line * channels;
  const bool all = for_each_vector(
      windows, channels, first, indices,
      [&](int64_t at, int64_t corner, IntVec place) __attribute__((always_inline)) {
        Vec value = load(dy + corner);
        const auto pick = [&](const float* pixel, int32_t own) __attribute__((always_inline)) {
          value = select(place == own, load(pixel), value);
          __builtin_prefetch(pixel + kAhead);
        };
        __builtin_prefetch(dy + corner + kAhead);
        pick(dy + corner + channels, 1);
        pick(below + corner, line);
        pick(below + corner + channels, line + 1);
        store_or_stream<kPastCaches>(dx + at, value);
      });
  end_stream<kPastCaches>();
  return all;
}

bool read_windows(int64_t windows, int64_t channels, int64_t first, const float* dy,
                  const int64_t* indices, float* dx, bool past_caches) {
  const auto run = can_stream(dx, channels, past_caches) ? read_pixels<true> : read_pixels<false>;
  return run(windows, channels, first, dy, indices, dx);
}

}  // namespace

UnpoolKernels unpool_kernels() { return {kLanes, fill_windows, read_windows}; }

}  // namespace neurona::NEURONA_ISA
