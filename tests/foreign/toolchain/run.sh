#!/usr/bin/env bash
# Each tool chain after the other, on one node; or the ones that are named.
set -uo pipefail
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- forge hardhat web3
# Hardhat asks nobody whether it may report what it does.
export HARDHAT_DISABLE_TELEMETRY_PROMPT=true

hardhat_suites() {
  hardhat build >log 2>&1 || { cat log; echo "FAILED hardhat build"; return 1; }
  hardhat run governor.mjs --no-compile --network atoll && hardhat run uniswap.mjs --no-compile --network atoll
}

# It deploys what forge builds.
web3_suite() { forge build >log 2>&1; venv/bin/python web3_suite.py; }

for tool in "$@"; do
  case "$tool" in
    forge) ./forge.sh ;;
    hardhat) hardhat_suites ;;
    web3) web3_suite ;;
    *) echo "forge, hardhat, web3: $tool is none of them"; false ;;
  esac || { echo "FAILED $tool"; exit 1; }
done
