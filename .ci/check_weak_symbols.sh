#!/usr/bin/env bash
# No kernel object may hold a weak symbol: the linker keeps one copy of each, perhaps the one that needs AVX-512.
# Usage: check_weak_symbols.sh BUILD_FOLDER
set -euo pipefail
objects=$(find "$1" -path '*kernels_*' -name '*.o')
[ -n "$objects" ] || { echo "no kernel objects under $1"; exit 1; }
weak=$(for object in $objects; do nm -C "$object" | grep -E ' [WVu] ' | sed "s|^|$object: |" || true; done)
if [ -n "$weak" ]; then
  echo "$weak"
  exit 1
fi
echo "$(echo "$objects" | wc -l) kernel objects, no weak symbol"
