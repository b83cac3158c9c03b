// cp.async.bulk.tensor: tiles of a tensor map, by the copy engine.
#pragma once

#include "instructions/decoding.h"

namespace ptx_machine {

void decode_tile_load(Assembler& assembler, const Statement& statement, const Parts& parts,
                      Instruction& instruction);

}  // namespace ptx_machine
