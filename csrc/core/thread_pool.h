// The one parallel_for that lies under all kernels.
//
// The pool has num_threads() - 1 workers; the caller takes part. A range is cut into a few
// contiguous pieces per thread. Each thread begins with its own share of them, the same part of
// every range, and then helps others, so a body must not let results depend on where the cuts are:
// split outputs, never a sum (sums are cut into chunks whose number depends on the shape alone).
// Nested calls and calls while another thread uses the pool run serially in the caller.
#pragma once

#include <cstdint>
#include <string>

namespace neurona {

// A non-owning reference to a callable: one pointer pair, no allocation, unlike std::function.
template <typename Signature>
class FunctionRef;
template <typename Result, typename... Args>
class FunctionRef<Result(Args...)> {
 public:
  template <typename Callable>
  FunctionRef(
      const Callable& callable)  // NOLINT: implicit on purpose, for lambdas at the call site
      : object_(&callable), call_([](const void* object, Args... args) -> Result {
          return (*static_cast<const Callable*>(object))(args...);
        }) {}
  Result operator()(Args... args) const { return call_(object_, args...); }

 private:
  const void* object_;
  Result (*call_)(const void*, Args...);
};

// Calls body(begin, end) on pieces of [0, count); no piece is made for less than `grain` items, so
// a small range stays serial. Choose grain so that it costs at least about 10 microseconds: waking
// a worker costs 2 to 5. An exception thrown by a body is rethrown here once all pieces have ended.
void parallel_for(int64_t count, int64_t grain, FunctionRef<void(int64_t begin, int64_t end)> body);

// The smallest number of items that are worth a thread when one item costs `cost` flops (or bytes
// moved).
inline int64_t grain_for(int64_t cost) {
  return cost >= 65536 ? 1 : 65536 / (cost < 1 ? 1 : cost) + 1;
}

int num_threads();                   // threads that parallel_for uses, the caller included
void set_num_threads(int n);         // 1 <= n <= 1024, else std::invalid_argument
std::string thread_budget_reason();  // why num_threads() is what it is, for `neurona info`

}  // namespace neurona
