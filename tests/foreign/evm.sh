#!/usr/bin/env bash
# cast, then ethers, as a Solidity developer would use them. ATOLL_URL names the gateway.
set -euo pipefail
cd "$(dirname "$0")"
export ETH_RPC_URL="$ATOLL_URL/evm/evm"
# The first two accounts of "test test … junk", known to every development tool.
key=0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80
from=0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
to=0x70997970C51812dc3A010C7d01b50e0d17dc79C8
# A counter: each call adds one to slot 0, logs the new value under topic 0x2a and returns it.
code=0x60148060095f395ff35f54600101805f555f52602a60205fa160205ff3

expect() { # NAME FOUND EXPECTED
  [ "$2" = "$3" ] || { echo "FAILED $1: found '$2', expected '$3'"; exit 1; }
  echo "ok $1"
}
refuse() { # NAME PATTERN COMMAND…: fails, and says why. (The npm wrapper of cast always exits with 0.)
  local name="$1" pattern="$2" out
  shift 2
  out=$("$@" 2>&1) || true
  grep -q "^Error" <<<"$out" || { echo "FAILED $name: it was accepted: $out"; exit 1; }
  grep -qiE "$pattern" <<<"$out" || { echo "FAILED $name: it says: $out"; exit 1; }
  echo "ok $name"
}

expect "chain id" "$(cast chain-id)" 3002
[ "$(cast block-number)" -ge 0 ] && echo "ok block number"
[ "$(cast gas-price)" -gt 0 ] && echo "ok gas price"
expect "genesis balance" "$(cast balance -e $from)" 10000.000000000000000000
expect "nonce" "$(cast nonce $from)" 0

before=$(cast balance $to)
cast send --private-key $key --value 1ether $to >/dev/null
expect "transfer" "$(cast balance $to)" "$(python3 -c "print($before + 10**18)")"
expect "nonce after" "$(cast nonce $from)" 1

contract=$(cast send --private-key $key --create $code --json | python3 -c 'import json,sys; r=json.load(sys.stdin); assert int(r["status"],16)==1, r; print(r["contractAddress"])')
expect "code" "$(cast code "$contract")" 0x5f54600101805f555f52602a60205fa160205ff3
expect "call" "$(cast call "$contract" 0x)" "0x$(printf '%064x' 1)"
expect "storage untouched by a call" "$(cast storage "$contract" 0)" "0x$(printf '%064x' 0)"
estimate=$(cast estimate --from $from "$contract" 0x 2>/dev/null || cast estimate "$contract")
[ "$estimate" -gt 21000 ] && [ "$estimate" -lt 100000 ] && echo "ok estimate"
hash=$(cast send --private-key $key "$contract" 0x --json | python3 -c 'import json,sys; r=json.load(sys.stdin); assert len(r["logs"])==1, r; print(r["transactionHash"])')
expect "storage" "$(cast storage "$contract" 0)" "0x$(printf '%064x' 1)"
case "$(cast receipt "$hash" status)" in 1* | true*) echo "ok receipt status" ;; *) echo "FAILED receipt status"; exit 1 ;; esac
block=$(cast receipt "$hash" blockNumber)
expect "logs" "$(cast logs --from-block "$block" --to-block "$block" --address "$contract" --json | python3 -c 'import json,sys; l=json.load(sys.stdin); print(len(l), int(l[0]["data"],16), int(l[0]["topics"][0],16))')" "1 1 42"
expect "block holds it" "$(cast block "$block" --json | python3 -c "import json,sys; print('$hash' in json.load(sys.stdin)['transactions'])")" True
expect "transaction" "$(cast tx "$hash" nonce)" 2

refuse "stale nonce" "nonce too low" cast send --private-key $key --nonce 0 --value 1 $to
# A transaction that comes before its predecessor says so, and may come again afterwards.
early=$(cast mktx --private-key $key --nonce 4 --value 1 --gas-limit 21000 --gas-price 2000000000 --legacy $to)
refuse "early nonce" "nonce too high" cast publish "$early"
cast send --private-key $key --nonce 3 --value 1 $to >/dev/null
cast publish "$early" >/dev/null && expect "the same again" "$(cast nonce $from)" 5
refuse "replayed" "nonce too low|already known" cast publish "$early"
refuse "wrong chain" "chain" cast send --private-key $key --chain 1 --value 1 $to --nonce 5 --gas-limit 21000 --gas-price 2000000000 --legacy
refuse "more than there is" "insufficient funds" cast send --private-key $key --value 20000ether $to --gas-limit 21000
refuse "garbage" "." cast publish 0x1234

node evm-ethers.cjs
node evm-viem.cjs
