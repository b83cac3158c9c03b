// Times of the work on the GPU, by its own clock.
#pragma once

namespace neurona {

class Stopwatch {
 public:
  Stopwatch();  // std::runtime_error without a device
  ~Stopwatch();
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  // From the end of what was enqueued before ..
  void start();
  // .. to the end of what was enqueued since, in milliseconds; waits for it.
  float stop();

 private:
  void *begin_, *end_;  // cudaEvent_t
};

}  // namespace neurona
