// Philox4x32-10, a block of four words for each turn of a thread, and what is drawn from it. Words,
// uniform numbers and dropout have the bits of the CPU's kernels; normal numbers come as close as
// the device's logarithm and sine are.
#include "ops/random.h"

#include "core/dropout_rules.h"
#include "cuda/device.h"
#include "cuda/graph.h"

namespace neurona {
namespace {

__device__ inline uint4 philox_block(const RandomStream& stream, int64_t block) {
  const auto low = [](uint64_t word) { return static_cast<uint32_t>(word); };
  const auto high = [](uint64_t word) { return static_cast<uint32_t>(word >> 32); };
  const auto number = static_cast<uint64_t>(block);
  uint4 c = make_uint4(low(number), high(number), low(stream.offset), high(stream.offset));
  uint32_t key0 = low(stream.seed), key1 = high(stream.seed);
  constexpr uint32_t kFirst = 0xD2511F53u, kSecond = 0xCD9E8D57u;
  for (int round = 0; round < 10; ++round) {
    c = make_uint4(__umulhi(kSecond, c.z) ^ c.y ^ key0, kSecond * c.z,
                   __umulhi(kFirst, c.x) ^ c.w ^ key1, kFirst * c.x);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c;
}

__device__ inline uint32_t top_24_bits(uint32_t word) { return word >> 8; }

template <typename T>
struct Four {
  T of[4];
};

struct Words {
  __device__ Four<uint32_t> operator()(const uint4& w, int64_t) const {
    return {{w.x, w.y, w.z, w.w}};
  }
};

// low + range u with u = (word >> 8) 2^-24, in double, rounded once.
struct Uniform {
  double low, unit;  // unit = range 2^-24
  __device__ float of(uint32_t word) const {
    return static_cast<float>(top_24_bits(word) * unit + low);
  }
  __device__ Four<float> operator()(const uint4& w, int64_t) const {
    return {{of(w.x), of(w.y), of(w.z), of(w.w)}};
  }
};

// Box and Muller's method on each pair of words.
struct Normal {
  float mean, std;

  // ln((word + 1) 2^-32); close to 1 as ln(1 - d), where a float holds d to its own last bits.
  __device__ static float log_of_unit(uint32_t word) {
    constexpr float kUnit = 0x1p-32f;
    return word >> 31 ? log1pf(-kUnit * static_cast<float>(~word))
                      : logf(kUnit * static_cast<float>(word + 1));
  }

  __device__ void pair(uint32_t first, uint32_t second, float* out) const {
    const float radius = sqrtf(-2.0f * log_of_unit(first));
    // Half a turn either way is 2^31: as a signed number the angle is small where its sine is.
    float sine, cosine;
    sincospif(static_cast<float>(static_cast<int32_t>(second)) * 0x1p-31f, &sine, &cosine);
    out[0] = radius * cosine * std + mean;
    out[1] = radius * sine * std + mean;
  }

  __device__ Four<float> operator()(const uint4& w, int64_t) const {
    Four<float> z;
    pair(w.x, w.y, z.of);
    pair(w.z, w.w, z.of + 2);
    return z;
  }
};

struct Dropout {
  DropoutRule rule;
  const float* x;
  int64_t count;
  bool x_in_fours;

  __device__ float of(uint32_t word, float value) const {
    return static_cast<int32_t>(top_24_bits(word)) >= rule.threshold ? value * rule.scale : 0.0f;
  }

  __device__ Four<float> operator()(const uint4& w, int64_t block) const {
    float4 v;
    if (x_in_fours && 4 * block + 4 <= count) {
      v = reinterpret_cast<const float4*>(x)[block];
    } else {
      const auto at = [&](int64_t i) { return i < count ? x[i] : 0.0f; };
      v = make_float4(at(4 * block), at(4 * block + 1), at(4 * block + 2), at(4 * block + 3));
    }
    return {{of(w.x, v.x), of(w.y, v.y), of(w.z, v.z), of(w.w, v.w)}};
  }
};

struct Stream {
  RandomStream given;
  const RandomStream* changing;  // what takes the place of `given` in a captured step, or null
};

// out[4 j ..] = draw(block j of the stream, j). Outputs are arrays of their own, which begin at a
// multiple of 16 bytes.
template <typename Draw, typename T>
__global__ void draw_kernel(Stream source, Draw draw, int64_t count, T* out) {
  wait_for_earlier_kernels();
  const RandomStream stream = source.changing ? *source.changing : source.given;
  for (int64_t block = first_element(); 4 * block < count; block += element_stride()) {
    const Four<T> four = draw(philox_block(stream, block), block);
    if (4 * block + 4 <= count) {
      struct alignas(16) Aligned {
        T a, b, c, d;
      };
      reinterpret_cast<Aligned*>(out)[block] = {four.of[0], four.of[1], four.of[2], four.of[3]};
    } else {
      for (int i = 0; i < 4; ++i)
        if (4 * block + i < count) out[4 * block + i] = four.of[i];
    }
  }
}

template <typename Draw, typename T>
void draw(const char* name, const Stream& stream, const Draw& what, int64_t count, T* out) {
  launch(name, draw_kernel<Draw, T>, overlapping(over_elements(divide_up(count, 4))), stream, what,
         count, out);
}

}  // namespace

void philox(const RandomStream& stream, int64_t count, uint32_t* out) {
  draw("philox", {stream, nullptr}, Words{}, count, out);
}

void random_uniform(const RandomStream& stream, int64_t count, double low, double high,
                    float* out) {
  draw("random_uniform", {stream, nullptr}, Uniform{low, (high - low) * 0x1p-24}, count, out);
}

void random_normal(const RandomStream& stream, int64_t count, float mean, float std, float* out) {
  draw("random_normal", {stream, nullptr}, Normal{mean, std}, count, out);
}

void dropout(const std::shared_ptr<const RandomStream>& stream, int64_t count, const float* x,
             double p, float* y) {
  const bool x_in_fours = reinterpret_cast<uintptr_t>(x) % sizeof(float4) == 0;
  draw("dropout", {*stream, changing_numbers([stream] { return *stream; })},
       Dropout{dropout_rule(p), x, count, x_in_fours}, count, y);
}

}  // namespace neurona
