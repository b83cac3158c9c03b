// The `activation=` argument of the fused ops.
#pragma once

#include "bindings/array.h"
#include "ops/gemm.h"
#include "ops/activation.h"

namespace neurona {

// What follows a product: applied by the tile itself, or, when it needs exponentials, by a pass
// over the finished output.
enum class Epilogue { kNone, kRelu, kLeakyRelu, kSigmoid, kTanh, kGelu, kSilu };

inline Epilogue activation_parameter(const char* op, py::handle name) {
  if (name.is_none()) return Epilogue::kNone;
  if (!PyUnicode_Check(name.ptr()))
    fail_type(op, "activation must be a string or None, got ", std::string(py::repr(name)));
  const std::string text = py::cast<std::string>(name);
  static constexpr const char* kNames[] = {"relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu"};
  for (int i = 0; i < 6; ++i)
    if (text == kNames[i]) return static_cast<Epilogue>(i + 1);
  fail_value(op,
             "activation must be one of None, 'relu', 'leaky_relu', 'sigmoid', 'tanh', 'gelu', "
             "'silu', got '",
             text, "'");
}

inline TileActivation in_tile(Epilogue epilogue) {
  return epilogue == Epilogue::kRelu        ? TileActivation::kRelu
         : epilogue == Epilogue::kLeakyRelu ? TileActivation::kLeakyRelu
                                            : TileActivation::kNone;
}

// The second pass of those that the tile does not apply, in place.
inline void finish_activation(Epilogue epilogue, float* y, int64_t count) {
  switch (epilogue) {
    case Epilogue::kSigmoid: return activation_forward(Activation::kSigmoid, y, y, count);
    case Epilogue::kTanh: return activation_forward(Activation::kTanh, y, y, count);
    case Epilogue::kGelu: return activation_forward(Activation::kGelu, y, y, count);
    case Epilogue::kSilu: return activation_forward(Activation::kSilu, y, y, count);
    default: return;
  }
}

}  // namespace neurona
