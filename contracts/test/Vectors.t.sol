// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MerkleRfc6962} from "../src/lib/MerkleRfc6962.sol";
import {StateObjects} from "../src/lib/StateObjects.sol";
import {Range, Words} from "../src/lib/Words.sol";
import "../src/Types.sol";
import {Libraries} from "./Hashes.t.sol";
import {Test} from "./lib/Test.sol";

/// @notice testdata/settlement.json, which the Rust side writes and checks too.
contract VectorsTest is Test {
    string private constant FILE = "../testdata/settlement.json";
    Libraries private lib = new Libraries();
    string private json;

    function setUp() public {
        json = vm.readFile(FILE);
    }

    function _at(string memory list, uint256 i) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(i), "]");
    }

    function _word(string memory base, string memory key) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, string.concat(base, key));
    }

    function _uint(string memory base, string memory key) private view returns (uint256) {
        return vm.parseJsonUint(json, string.concat(base, key));
    }

    function _u64(string memory base, string memory key) private view returns (uint64) {
        return uint64(_uint(base, key));
    }

    function _address(string memory base, string memory key) private view returns (address) {
        return vm.parseJsonAddress(json, string.concat(base, key));
    }

    function test_queue() public {
        bytes32 hash = 0;
        uint256 i = 0;
        for (; vm.keyExistsJson(json, _at(".queue", i)); ++i) {
            string memory p = _at(".queue", i);
            Entry memory e;
            (e.index, e.kind) = (_u64(p, ".index"), uint8(_uint(p, ".kind")));
            e.environment = uint32(_uint(p, ".environment"));
            (e.from, e.to, e.token) = (_address(p, ".from"), _address(p, ".to"), _address(p, ".token"));
            (e.amount, e.time) = (_uint(p, ".amount"), _u64(p, ".time"));
            e.data = vm.parseJsonBytes(json, string.concat(p, ".data"));
            assertEq(lib.entry(e), _word(p, ".entry_hash"), p);
            hash = Words.queue(hash, lib.entry(e));
            assertEq(hash, _word(p, ".queue_hash"), p);
        }
        assertTrue(i != 0, "there are entries");
    }

    function test_withdrawals() public {
        bytes32 root = vm.parseJsonBytes32(json, ".withdrawals.root");
        uint256 i = 0;
        for (; vm.keyExistsJson(json, _at(".withdrawals.leaves", i)); ++i) {
            string memory p = _at(".withdrawals.leaves", i);
            Withdrawal memory w = Withdrawal(
                _u64(p, ".index"),
                uint32(_uint(p, ".environment")),
                _address(p, ".from"),
                _address(p, ".to"),
                _address(p, ".token"),
                _uint(p, ".amount")
            );
            bytes32 leaf = lib.withdrawal(w);
            assertEq(leaf, _word(p, ".leaf"), p);
            bytes32[] memory proof = vm.parseJsonBytes32Array(json, _at(".withdrawals.proofs", i));
            bytes32[32] memory siblings;
            for (uint256 level = 0; level < 32; ++level) {
                siblings[level] = proof[level];
            }
            assertTrue(lib.inTree(root, leaf, w.index, siblings), p);
        }
        assertTrue(i != 0, "there are leaves");
    }

    function test_statements() public {
        uint256 n = 0;
        while (vm.keyExistsJson(json, _at(".statements", n))) ++n;
        assertTrue(n != 0, "there are statements");
        bytes32[] memory hashes = new bytes32[](n);
        for (uint256 i = 0; i < n; ++i) {
            string memory p = _at(".statements", i);
            assertEq(_uint(p, ".protocol_version"), Words.PROTOCOL_VERSION, "protocol version");
            hashes[i] = lib.statement(_statement(p), _range(p));
            assertEq(hashes[i], _word(p, ".hash"), p);
        }
        assertEq(MerkleRfc6962.root(hashes), vm.parseJsonBytes32(json, ".statements_root"), "root");
    }

    function test_merkle_proofs() public {
        uint256 trees = 0;
        for (; vm.keyExistsJson(json, _at(".merkle", trees)); ++trees) {
            string memory p = _at(".merkle", trees);
            bytes32[] memory leaves = vm.parseJsonBytes32Array(json, string.concat(p, ".leaves"));
            bytes32 root = _word(p, ".root");
            for (uint256 i = 0; i < leaves.length; ++i) {
                string memory at = _at(string.concat(p, ".proofs"), i);
                bytes32[] memory proof = vm.parseJsonBytes32Array(json, at);
                assertTrue(MerkleRfc6962.verify(root, leaves[i], i, leaves.length, proof), at);
            }
            assertEq(MerkleRfc6962.root(leaves), root, p);
        }
        assertTrue(trees != 0, "there are trees");
    }

    function _range(string memory p) private view returns (Range memory) {
        return Range(
            _word(p, ".network"), _u64(p, ".first_slot"), _u64(p, ".last_slot"), _u64(p, ".cursor_before"),
            _u64(p, ".cursor_after")
        );
    }

    function _statement(string memory p) private view returns (Statement memory s) {
        s.environment = uint32(_uint(p, ".environment"));
        (s.specHash, s.programId) = (_word(p, ".spec_hash"), _word(p, ".program_id"));
        (s.firstTimeUs, s.lastTimeUs) = (_u64(p, ".first_time_us"), _u64(p, ".last_time_us"));
        (s.preRoot, s.postRoot) = (_word(p, ".pre_root"), _word(p, ".post_root"));
        (s.batch, s.inbox, s.outbox) = (_word(p, ".batch"), _word(p, ".inbox"), _word(p, ".outbox"));
        (s.receipts, s.foreignRoots) = (_word(p, ".receipts"), _word(p, ".foreign_roots"));
    }

    function _transfers() private view returns (NetTransfer[] memory t) {
        uint256 n = 0;
        while (vm.keyExistsJson(json, _at(".transfers.list", n))) ++n;
        t = new NetTransfer[](n);
        for (uint256 i = 0; i < n; ++i) {
            string memory p = _at(".transfers.list", i);
            int256 delta = vm.parseJsonInt(json, string.concat(p, ".delta"));
            t[i] = NetTransfer(uint32(_uint(p, ".environment")), _address(p, ".token"), delta);
        }
    }

    function test_transfers() public {
        assertEq(lib.transfers(_transfers()), vm.parseJsonBytes32(json, ".transfers.hash"), "transfers");
    }

    function test_commitment() public {
        string memory p = ".commitment";
        Commitment memory c;
        (c.number, c.firstSlot, c.lastSlot) = (_u64(p, ".number"), _u64(p, ".first_slot"), _u64(p, ".last_slot"));
        (c.cursor, c.withdrawalsCount) = (_u64(p, ".cursor"), _u64(p, ".withdrawals_count"));
        (c.slotHash, c.queueHash) = (_word(p, ".slot_hash"), _word(p, ".queue_hash"));
        (c.withdrawalsRoot, c.data) = (_word(p, ".withdrawals_root"), _word(p, ".data"));
        bytes32[4] memory w;
        (w[0], w[1]) = (_word(p, ".network"), _word(p, ".previous"));
        w[2] = vm.parseJsonBytes32(json, ".statements_root");
        w[3] = vm.parseJsonBytes32(json, ".transfers.hash");
        assertEq(lib.commitment(c, w), _word(p, ".hash"), "commitment");
    }

    function test_availability() public {
        string memory p = ".availability";
        bytes32 hash = Words.availability(
            _word(p, ".network"), _u64(p, ".first_slot"), _u64(p, ".last_slot"), _word(p, ".data")
        );
        assertEq(hash, _word(p, ".hash"), "availability");
    }

    function test_router_outbox() public {
        bytes32 root = vm.parseJsonBytes32(json, ".withdrawals.root");
        uint64 count = 0;
        while (vm.keyExistsJson(json, _at(".withdrawals.leaves", count))) ++count;
        bytes32 hash = Words.routerOutbox(root, count, vm.parseJsonBytes32(json, ".transfers.hash"));
        assertEq(hash, vm.parseJsonBytes32(json, ".router_outbox"), "router outbox");
        assertEq(hash, vm.parseJsonBytes32(json, ".statements[0].outbox"), "in its statement");
    }

    /// @dev The hub takes `data` as it is; who checks it by hand does this.
    function test_spans() public {
        uint256 n = 0;
        while (vm.keyExistsJson(json, _at(".spans", n))) ++n;
        bytes32[] memory spans = new bytes32[](n);
        for (uint256 i = 0; i < n; ++i) {
            string memory p = _at(".spans", i);
            spans[i] = sha256(
                abi.encode(bytes32("atoll span"), _u64(p, ".first_slot"), _u64(p, ".last_slot"), _word(p, ".data_root"))
            );
            assertEq(spans[i], _word(p, ".leaf"), p);
        }
        assertEq(MerkleRfc6962.root(spans), vm.parseJsonBytes32(json, ".commitment.data"), "data");
    }

    function _bytes(string memory base, string memory key) private view returns (bytes memory) {
        return vm.parseJsonBytes(json, string.concat(base, key));
    }

    function _same(bytes memory a, bytes memory b, string memory what) private pure {
        assertEq(keccak256(a), keccak256(b), what);
    }

    function test_state_objects() public {
        string memory p = ".objects";
        (address token, address holder) = (_address(p, ".token"), _address(p, ".holder"));
        Ledger memory ledger = Ledger(
            _uint(p, ".ledger.sums[0]"),
            _uint(p, ".ledger.sums[1]"),
            _uint(p, ".ledger.sums[2]"),
            _uint(p, ".ledger.sums[3]")
        );
        bytes memory key = StateObjects.ledgerKey(uint32(_uint(p, ".environment")), token);
        _same(key, _bytes(p, ".ledger.object.key"), "ledger's key");
        _same(StateObjects.ledgerValue(ledger), _bytes(p, ".ledger.object.value"), "ledger");
        _same(StateObjects.claimKey(holder, token), _bytes(p, ".claim.key"), "claim's key");
        _same(abi.encode(_uint(p, ".claim.amount")), _bytes(p, ".claim.value"), "claim");
        _same(StateObjects.claimTotalKey(token), _bytes(p, ".claim_total.key"), "total's key");
        _same(abi.encode(_uint(p, ".claim_total.amount")), _bytes(p, ".claim_total.value"), "total");
        uint256 i = 0;
        for (; vm.keyExistsJson(json, _at(".objects.evm_accounts", i)); ++i) {
            p = _at(".objects.evm_accounts", i);
            _same(StateObjects.accountKey(holder), _bytes(p, ".key"), "account's key");
            assertEq(lib.accountBalance(_bytes(p, ".value")), _uint(p, ".amount"), p);
            p = _at(".objects.evm_slots", i);
            key = StateObjects.slotKey(token, StateObjects.balanceSlot(holder));
            _same(key, _bytes(p, ".key"), "slot's key");
            assertEq(lib.slotValue(_bytes(p, ".value")), _uint(p, ".amount"), p);
        }
        assertTrue(i != 0, "there are accounts");
    }

    function test_state_proofs() public {
        bytes32 root = vm.parseJsonBytes32(json, ".state.root");
        uint256 i = 0;
        for (; vm.keyExistsJson(json, _at(".state.proofs", i)); ++i) {
            string memory p = _at(".state.proofs", i);
            bytes memory key = vm.parseJsonBytes(json, string.concat(p, ".key"));
            bytes memory value = vm.parseJsonBytes(json, string.concat(p, ".value"));
            bytes32[] memory siblings = vm.parseJsonBytes32Array(json, string.concat(p, ".siblings"));
            assertTrue(lib.inState(root, key, value, siblings), p);
        }
        assertTrue(i != 0, "there are proofs");
    }
}
