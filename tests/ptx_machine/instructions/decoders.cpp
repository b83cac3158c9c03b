#include "instructions/decoding.h"

namespace ptx_machine {

// By the first word of the opcode.
const Decode* find_decoder(std::string_view operation) {
  static const Decoders decoders = [] {
    Decoders all;
    add_integer_decoders(all);
    add_float_decoders(all);
    add_move_decoders(all);
    add_convert_decoders(all);
    add_compare_decoders(all);
    add_memory_decoders(all);
    add_warp_decoders(all);
    add_matrix_decoders(all);
    add_async_decoders(all);
    add_warpgroup_decoders(all);
    add_cluster_decoders(all);
    return all;
  }();
  const auto found = decoders.find(operation);
  return found == decoders.end() ? nullptr : &found->second;
}

}  // namespace ptx_machine
