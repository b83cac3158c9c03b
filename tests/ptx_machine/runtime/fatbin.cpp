// NVIDIA documents no word of this layout, which was read from objects that nvcc 13.0 made: a
// header, then entries one behind the other, each with a header that says how long both parts are.
#include "runtime/fatbin.h"

#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace ptx_machine {
namespace {

constexpr uint32_t kWrapperMagic = 0x466243b1, kMagic = 0xba55ed50;

struct Wrapper {
  uint32_t magic, version;
  const unsigned char* data;
  void* file_name;
};

struct Header {
  uint32_t magic;
  uint16_t version, header_bytes;
  uint64_t bytes;  // of all entries
};

struct EntryHeader {
  uint16_t kind, version;
  uint32_t header_bytes;
  uint64_t bytes;  // of what follows the header, zeros at its end included
  uint32_t compressed_bytes;
  uint32_t options_offset;
  uint16_t minor, major;
  uint32_t capability;
  uint64_t name_offset, flags, reserved;
  uint64_t plain_bytes;  // 0 if it is not compressed
};
static_assert(sizeof(EntryHeader) == 64);

constexpr uint16_t kPtx = 1;

template <typename Struct>
Struct read(const unsigned char* from) {
  Struct value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

PtxText described(std::string_view text) {
  constexpr std::string_view kTarget = ".target sm_";
  size_t at = text.find(kTarget);
  if (at == std::string_view::npos) throw std::runtime_error("fat binary: PTX without a .target");
  at += kTarget.size();
  int capability = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
    capability = 10 * capability + (text[at] - '0');
  const bool is_specific = at < text.size() && (text[at] == 'a' || text[at] == 'f');
  return {text, capability, is_specific};
}

PtxText text_of(const unsigned char* begin, const EntryHeader& entry) {
  if (entry.compressed_bytes != 0 || entry.plain_bytes != 0)
    throw std::runtime_error("fat binary: the PTX is compressed; nvcc must get --no-compress");
  const auto* text = reinterpret_cast<const char*>(begin + entry.header_bytes);
  return described({text, strnlen(text, entry.bytes)});
}

}  // namespace

std::vector<PtxText> ptx_texts(const void* wrapper) {
  const auto outer = read<Wrapper>(static_cast<const unsigned char*>(wrapper));
  if (outer.magic != kWrapperMagic) throw std::runtime_error("fat binary: not its wrapper");
  const auto header = read<Header>(outer.data);
  if (header.magic != kMagic || header.version != 1)
    throw std::runtime_error("fat binary: not in the layout that is known");
  std::vector<PtxText> texts;
  const unsigned char* at = outer.data + header.header_bytes;
  const unsigned char* end = at + header.bytes;
  while (at < end) {
    const auto entry = read<EntryHeader>(at);
    if (entry.header_bytes < sizeof entry || entry.bytes > static_cast<size_t>(end - at))
      throw std::runtime_error("fat binary: an entry is not in the layout that is known");
    if (entry.kind == kPtx) texts.push_back(text_of(at, entry));
    at += entry.header_bytes + entry.bytes;
  }
  return texts;
}

const PtxText* newest_for(const std::vector<PtxText>& texts, int capability) {
  const PtxText* newest = nullptr;
  for (const PtxText& text : texts) {
    const bool runs =
        text.is_specific ? text.capability == capability : text.capability <= capability;
    if (!runs) continue;
    const bool is_newer = !newest || text.capability > newest->capability ||
                          (text.capability == newest->capability && text.is_specific);
    if (is_newer) newest = &text;
  }
  return newest;
}

}  // namespace ptx_machine
