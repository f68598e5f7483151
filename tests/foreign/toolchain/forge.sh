#!/usr/bin/env bash
# forge and cast on a project of their own: a script deploys it, a test forks the node that it is on.
set -euo pipefail
# The programs themselves: the npm wrappers around them exit with 0 whatever happens.
for programs in "$PWD"/node_modules/@foundry-rs/*-*/bin; do PATH="$programs:$PATH"; done
export ETH_RPC_URL="$ATOLL_URL/evm/evm" FOUNDRY_DISABLE_NIGHTLY_WARNING=1
# The first two accounts of "test test … junk".
export DEPLOYER_KEY=0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80
deployer=0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
stranger=0x70997970C51812dc3A010C7d01b50e0d17dc79C8
stranger_key=0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d
zero=0x0000000000000000000000000000000000000000
transfer='Transfer(address indexed,address indexed,uint256 indexed)'

expect() { # NAME FOUND EXPECTED
  [ "$2" = "$3" ] || { echo "FAILED $1: found '$2', expected '$3'"; exit 1; }
}
contains() { # NAME TEXT PATTERN
  grep -qE -- "$3" <<<"$2" || { echo "FAILED $1: no '$3' in: $2"; exit 1; }
}
read_json() { python3 -c "import json, sys; j = json.load(sys.stdin); print(($1))"; }
loud() { "$@" >log 2>&1 || { echo "FAILED $*"; cat log; exit 1; }; }

loud forge build

# The script, and what it says it did against the node.
rm -rf broadcast
# It sends all at once, so that some come before their predecessors.
loud forge script script/Deploy.s.sol --rpc-url "$ETH_RPC_URL" --broadcast
run=broadcast/Deploy.s.sol/3002/run-latest.json
expect "receipts" "$(read_json '{r["status"] for r in j["receipts"]}, len(j["receipts"])' <$run)" "({'0x1'}, 10)"
for name in token seat timelock council; do
  declare -x "${name^^}=$(read_json "j['returns']['$name']['value']" <$run)"
done
expect "name" "$(cast call "$TOKEN" 'name()(string)')" '"Market Token"'
expect "owner" "$(cast call "$TOKEN" 'owner()(address)')" "$TIMELOCK"
expect "votes" "$(cast call "$TOKEN" 'getVotes(address)(uint256)' $deployer)" "1000000000000000000000000 [1e24]"
# Made through the deterministic deployer, the seats are at an address that nothing but their code decides.
init=$(cast concat-hex "$(forge inspect src/Seat.sol:Seat bytecode)" "$(cast abi-encode 'f(address)' $deployer)")
expect "CREATE2" "$SEAT" "$(cast create2 --salt "$(cast keccak seat)" --init-code "$init" | grep -oiE '0x[0-9a-f]{40}\b' | head -n 1)"

# A single contract.
made=$(forge create src/Seat.sol:Seat --broadcast --private-key $DEPLOYER_KEY --json --constructor-args $deployer)
own=$(read_json 'j["deployedTo"]' <<<"$made")
expect "code" "$(cast code "$own")" "$(forge inspect src/Seat.sol:Seat deployedBytecode)"
mint=$(cast send --private-key $DEPLOYER_KEY --json "$own" 'mint(address)' $stranger | read_json 'j["transactionHash"]')
expect "owner of seat 1" "$(cast call "$own" 'ownerOf(uint256)(address)' 1)" $stranger

# Logs by topics: the mint is found, and nothing else.
found=$(cast logs --json --from-block 0 --address "$own" "$transfer" $zero $stranger)
expect "logs" "$(read_json 'len(j), j[0]["transactionHash"], int(j[0]["topics"][3], 16)' <<<"$found")" "(1, '$mint', 1)"
expect "no logs" "$(cast logs --json --from-block 0 --address "$own" "$transfer" $stranger)" "[]"

# Traces: of a call by forge's own EVM, of a transaction by the node.
out=$(cast call --trace --from $deployer "$own" 'mint(address)(uint256)' $stranger 2>&1)
contains "traced call" "$out" 'emit Transfer\(.*tokenId: 2\)'
out=$(cast call --trace --from $stranger "$own" 'mint(address)(uint256)' $stranger 2>&1)
contains "traced refusal" "$out" '\[Revert\].*0x118cdaa7'
out=$(cast rpc debug_traceTransaction "$mint" '{"tracer":"callTracer","tracerConfig":{"withLog":true}}')
expect "trace" "$(read_json 'j["type"], int(j["output"], 16), len(j["logs"]), "error" in j' <<<"$out")" "('CALL', 1, 1, False)"
failed=$(cast send --private-key $stranger_key --gas-limit 200000 --json "$own" 'mint(address)' $stranger)
expect "failed" "$(read_json 'j["status"]' <<<"$failed")" 0x0
out=$(cast rpc debug_traceTransaction "$(read_json 'j["transactionHash"]' <<<"$failed")" '{"tracer":"callTracer"}')
expect "failed trace" "$(read_json 'j["error"], j["output"][:10]' <<<"$out")" "('execution reverted', '0x118cdaa7')"
# `cast run` executes a transaction itself, on the state before its block.
contains "cast run" "$(cast run "$mint" 2>&1)" 'emit Transfer\(.*tokenId: 1\)'

# The test, on a fork: it reads the state of the block at which it began as long as it runs.
loud forge test --fork-url "$ETH_RPC_URL"
expect "tests" "$(grep -c '^\[PASS\]' log)" 4
expect "the node is untouched" "$(cast call "$TOKEN" 'totalSupply()(uint256)')" "1000000000000000000000000 [1e24]"

echo "ok forge: script with 10 transactions at once, CREATE2, create, 4 tests on a fork; cast: logs, call traces, node's traces, run"
