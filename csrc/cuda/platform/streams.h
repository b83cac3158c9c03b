// The stream of all our work beside the streams of others, who hand over and take memory of the
// device without waiting for it. A stream is a number, as DLPack and the CUDA array interface pass
// it: 1 is the default stream, 2 that of the calling thread, greater ones are a cudaStream_t. The
// emulation has no streams: all of it is done in order.
#pragma once

#include <cstdint>

namespace neurona {

constexpr int64_t kDefaultStream = 1;

int64_t stream_number();

// What `stream` is told from now on comes after what ours was told so far, or the other way round.
void let_wait(int64_t stream);
void wait_for(int64_t stream);

// Waits for what our stream was told, or any stream of the device, also while this thread captures
// a step. What failed, and what a captured step noted, is reported by the next call that asks.
void wait_for_own_stream() noexcept;
void wait_for_all_streams() noexcept;

}  // namespace neurona
