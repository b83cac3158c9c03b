// Arrays in memory of the device that belongs to others.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <string>
#include <vector>

namespace neurona {

// What is to be done when nobody uses the memory any more; called once, with the GIL.
struct Loan {
  void* lender = nullptr;
  void (*give_back)(void* lender) = nullptr;
};

// The owner of a borrowed array. The loan may be filled in later; it is given back with the
// capsule, after the work on the device that may still use it.
pybind11::capsule new_loan(Loan*& loan);

struct Borrowed {
  const char* op = "";  // in messages
  pybind11::dtype dtype;
  void* data = nullptr;
  std::vector<int64_t> shape, strides;  // in bytes
  bool writable = true;
};

// BufferError unless a kernel can reach every element.
void check_borrowed(const Borrowed& borrowed);

// The array, without a copy. Without elements it is a new one.
pybind11::array borrowed_array(const Borrowed& borrowed, const pybind11::capsule& owner);

// In C order, in bytes; BufferError when the elements are more than can be counted.
std::vector<int64_t> c_strides(const char* op, const std::vector<int64_t>& shape, int64_t item);

[[noreturn]] void fail_buffer(const char* op, const std::string& reason);

}  // namespace neurona
