// Errors that reach Python: std::invalid_argument becomes ValueError, TypeError below becomes
// TypeError. Every message reads "op: argument, rule, got value".
#pragma once

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>

namespace neurona {

struct TypeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace detail {
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}
}  // namespace detail

template <typename... Parts>
[[noreturn]] void fail_value(const char* op, const Parts&... parts) {
  throw std::invalid_argument(detail::concat(op, ": ", parts...));
}

template <typename... Parts>
[[noreturn]] void fail_type(const char* op, const Parts&... parts) {
  throw TypeError(detail::concat(op, ": ", parts...));
}

// The shape as Python prints a tuple: "(2, 3)", "(4,)".
inline std::string shape_text(const int64_t* shape, int64_t ndim) {
  std::ostringstream text;
  text << '(';
  for (int64_t i = 0; i < ndim; ++i)
    text << shape[i] << (i + 1 < ndim ? ", " : (ndim == 1 ? "," : ""));
  text << ')';
  return text.str();
}

}  // namespace neurona
