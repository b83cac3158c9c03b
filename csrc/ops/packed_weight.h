// A weight that stays what it is, for inference, in the orders in which kernels read it.
#pragma once

#include <map>
#include <mutex>
#include <tuple>

#include "core/arena.h"
#include "kernels/select.h"

namespace neurona {

enum class WeightOrder { kPanels, kDirect, kWinograd };

// What was made of one weight so far. The elements at `weight` must live as long and never change.
class PackedWeight {
 public:
  explicit PackedWeight(const float* weight) : weight_(weight) {}

  // The weight in an order: size() floats, made by make(weight, packed) when they are first asked
  // for, and valid as long as this object.
  template <typename Size, typename Make>
  const float* in(WeightOrder order, int64_t groups, const Size& size, const Make& make) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto key = std::tuple(order, groups, kernels().gemm.columns);
    auto found = packed_.find(key);
    if (found == packed_.end()) {
      found = packed_.try_emplace(key, size() + 1).first;  // never empty
      make(weight_, found->second.data());
    }
    return found->second.data();
  }

 private:
  const float* weight_;
  std::mutex mutex_;
  // By order, groups, and the columns of a product's tile, which the instructions in use decide.
  std::map<std::tuple<WeightOrder, int64_t, int>, Scratch<float>> packed_;
};

}  // namespace neurona
