#!/usr/bin/env bash
# Each tool chain after the other, on one node; or the ones that are named.
set -uo pipefail
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- forge
for tool in "$@"; do
  case "$tool" in
    forge) ./forge.sh ;;
    *) echo "forge: $tool is none of them"; false ;;
  esac || exit 1
done
