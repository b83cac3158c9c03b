#include "execution/counters.h"

#include <cxxabi.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

namespace ptx_machine {
namespace {

constexpr uint64_t kBanks = 32, kWordBytes = 4, kSectorBytes = 32;
constexpr size_t kWavefrontBytes = kBanks * kWordBytes;

// Sorted and without those that occur again; how many there are.
template <size_t kMost>
size_t distinct(uint64_t (&values)[kMost], size_t count) {
  std::sort(values, values + count);
  return static_cast<size_t>(std::unique(values, values + count) - values);
}

// Of lanes first .. first + count - 1, which are served together.
uint64_t wavefronts_of_part(const Access& access, int first, int count) {
  uint64_t words[kBanks * 4];
  size_t found = 0;
  for (int lane = first; lane < first + count; ++lane)
    if (access.lanes >> lane & 1)
      for (uint64_t byte = 0; byte < access.bytes; byte += kWordBytes)
        words[found++] = (access.addresses[lane] + byte) / kWordBytes;
  uint64_t of_bank[kBanks] = {};
  const size_t different = distinct(words, found);
  for (size_t i = 0; i < different; ++i) ++of_bank[words[i] % kBanks];
  return *std::max_element(of_bank, of_bank + kBanks);
}

std::string readable(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  std::string found = status == 0 ? text.get() : name;
  return found.substr(0, found.find(">(") == found.npos ? found.find('(') : found.find(">(") + 1);
}

}  // namespace

const char* counts_file() { return std::getenv("NEURONA_PTX_MACHINE_COUNTS"); }

void Counters::note_instruction(const Instruction& instruction, LaneMask lanes) {
  ++instructions_;
  active_lanes_ += static_cast<uint64_t>(std::popcount(lanes));
  products_ += instruction.is_product;
}

void Counters::note_shared(const Access& access) {
  const int parts = static_cast<int>(std::max<size_t>(1, kLanes * access.bytes / kWavefrontBytes));
  const int lanes = kLanes / parts;
  for (int part = 0; part < parts; ++part) {
    const uint64_t taken = wavefronts_of_part(access, part * lanes, lanes);
    shared_.taken += taken;
    shared_.least += taken > 0;
  }
}

void Counters::note_global(const Access& access, Traffic& traffic) {
  uint64_t sectors[kLanes], bytes[kLanes];
  size_t count = 0;
  for (int lane = 0; lane < kLanes; ++lane)
    if (access.lanes >> lane & 1) {
      sectors[count] = access.addresses[lane] / kSectorBytes;
      bytes[count++] = access.addresses[lane];
    }
  const size_t wanted = distinct(bytes, count) * access.bytes;
  traffic.taken += distinct(sectors, count);
  traffic.least += (wanted + kSectorBytes - 1) / kSectorBytes;
}

void Counters::write(const char* file, const Kernel& kernel, const KernelLaunch& launch) const {
  const std::unique_ptr<FILE, int (*)(FILE*)> out(std::fopen(file, "a"), std::fclose);
  if (!out) throw std::runtime_error(std::string("cannot write the counts to ") + file);
  const auto [x, y, z] = launch.blocks;
  const unsigned threads = launch.threads.x * launch.threads.y * launch.threads.z;
  std::fprintf(
      out.get(),
      "{\"kernel\": \"%s\", \"blocks\": [%u, %u, %u], \"threads\": %u, "
      "\"warp_instructions\": %llu, \"active_lanes\": %llu, \"products\": %llu, "
      "\"shared_wavefronts\": [%llu, %llu], \"load_sectors\": [%llu, %llu], "
      "\"store_sectors\": [%llu, %llu]}\n",
      readable(kernel.name).c_str(), x, y, z, threads,
      static_cast<unsigned long long>(instructions_),
      static_cast<unsigned long long>(active_lanes_), static_cast<unsigned long long>(products_),
      static_cast<unsigned long long>(shared_.taken),
      static_cast<unsigned long long>(shared_.least), static_cast<unsigned long long>(loads_.taken),
      static_cast<unsigned long long>(loads_.least), static_cast<unsigned long long>(stores_.taken),
      static_cast<unsigned long long>(stores_.least));
}

}  // namespace ptx_machine
