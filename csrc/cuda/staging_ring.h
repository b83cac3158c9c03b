// Copies between the device and any memory of the host by way of pinned buffers. From memory that
// is not pinned the driver may wait for the work enqueued before; from a buffer it does not, and
// the copy into the buffer runs beside the kernels. A buffer is taken again when its last copy is
// done: who copies faster than the device takes it waits for room.
#pragma once

#include <cstddef>
#include <cstring>
#include <mutex>

namespace neurona {

// `Buffer` is PinnedBuffer, or one that is wrong on purpose. Buffers grow to what is copied, up to
// kPieceBytes; more is copied in pieces.
template <typename Buffer>
class StagingRing {
 public:
  // A step's batch and labels take two: so many let a host run a few small steps ahead.
  static constexpr size_t kBuffers = 8;
  static constexpr size_t kPieceBytes = size_t{4} << 20;

  // Returns when `from` has been read.
  void send(void* to, const void* from, size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (size_t begin = 0; begin < bytes; begin += kPieceBytes) {
      const size_t piece = piece_at(begin, bytes);
      Buffer& buffer = next();
      buffer.wait();
      std::memcpy(buffer.reserve(piece), static_cast<const unsigned char*>(from) + begin, piece);
      buffer.send(static_cast<unsigned char*>(to) + begin, piece);
    }
  }

  // Returns when `to` has been written. The device fills one buffer while another is emptied.
  void fetch(void* to, const void* from, size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Buffer* last = nullptr;
    for (size_t begin = 0; begin < bytes; begin += kPieceBytes) {
      const size_t piece = piece_at(begin, bytes);
      Buffer& buffer = next();
      buffer.wait();  // for a copy that an error left behind
      buffer.reserve(piece);
      buffer.fetch(static_cast<const unsigned char*>(from) + begin, piece);
      if (last) empty(*last, to, begin - kPieceBytes, kPieceBytes);
      last = &buffer;
    }
    if (last) {
      const size_t begin = (bytes - 1) / kPieceBytes * kPieceBytes;
      empty(*last, to, begin, bytes - begin);
    }
  }

 private:
  static size_t piece_at(size_t begin, size_t bytes) {
    return bytes - begin < kPieceBytes ? bytes - begin : kPieceBytes;
  }

  Buffer& next() {
    Buffer& buffer = buffers_[next_];
    next_ = (next_ + 1) % kBuffers;
    return buffer;
  }

  static void empty(Buffer& buffer, void* to, size_t begin, size_t bytes) {
    buffer.wait();
    std::memcpy(static_cast<unsigned char*>(to) + begin, buffer.data(), bytes);
  }

  std::mutex mutex_;
  Buffer buffers_[kBuffers];
  size_t next_ = 0;
};

}  // namespace neurona
