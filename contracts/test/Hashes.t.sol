// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MerkleRfc6962} from "../src/lib/MerkleRfc6962.sol";
import {StateObjects} from "../src/lib/StateObjects.sol";
import {StateProof} from "../src/lib/StateProof.sol";
import {WithdrawalTree} from "../src/lib/WithdrawalTree.sol";
import {Range, Words} from "../src/lib/Words.sol";
import "../src/Types.sol";
import {Naive} from "./lib/Naive.sol";
import {Test} from "./lib/Test.sol";

/// @notice The libraries behind external calls, since they read calldata.
contract Libraries {
    function entry(Entry calldata e) external pure returns (bytes32) {
        return Words.entry(e);
    }

    function withdrawal(Withdrawal calldata w) external pure returns (bytes32) {
        return Words.withdrawal(w);
    }

    function statement(Statement calldata s, Range calldata r) external view returns (bytes32) {
        return Words.statement(s, r);
    }

    function transfers(NetTransfer[] calldata t) external view returns (bytes32) {
        return Words.transfers(t);
    }

    function commitment(Commitment calldata c, bytes32[4] calldata w) external view returns (bytes32) {
        return Words.commitment(c, w[0], w[1], w[2], w[3]);
    }

    function inTree(bytes32 root, bytes32 leaf, uint64 index, bytes32[32] calldata siblings)
        external
        view
        returns (bool)
    {
        return WithdrawalTree.verify(root, leaf, index, siblings);
    }

    function inState(bytes32 root, bytes calldata key, bytes calldata value, bytes32[] calldata siblings)
        external
        view
        returns (bool)
    {
        return StateProof.verify(root, key, value, siblings);
    }

    function accountBalance(bytes calldata object) external pure returns (uint256) {
        return StateObjects.accountBalance(object);
    }

    function slotValue(bytes calldata object) external pure returns (uint256) {
        return StateObjects.slotValue(object);
    }
}

/// @notice Each hash and proof against its naive twin.
contract HashesTest is Test {
    Libraries private lib = new Libraries();

    function test_entry(Entry memory e) public view {
        assertEq(lib.entry(e), Naive.entry(e), "entry");
        assertEq(Words.queue(e.data.length == 0 ? bytes32(0) : sha256(e.data), 0),
            Naive.queue(e.data.length == 0 ? bytes32(0) : sha256(e.data), 0), "queue");
    }

    function test_withdrawal(Withdrawal memory w) public view {
        assertEq(lib.withdrawal(w), Naive.withdrawal(w), "withdrawal");
    }

    function test_statement(Statement memory s, Range memory r) public view {
        assertEq(lib.statement(s, r), Naive.statement(s, r), "statement");
    }

    function test_transfers(NetTransfer[] memory t) public view {
        assertEq(lib.transfers(t), Naive.transfers(t), "transfers");
    }

    function test_commitment(Commitment memory c, bytes32[4] memory w) public view {
        assertEq(lib.commitment(c, w), Naive.commitment(c, w[0], w[1], w[2], w[3]), "commitment");
    }

    function test_availability_and_outbox(bytes32 a, uint64 b, uint64 c, bytes32 d) public pure {
        assertEq(Words.availability(a, b, c, d), Naive.availability(a, b, c, d), "availability");
        assertEq(Words.routerOutbox(a, b, d), Naive.routerOutbox(a, b, d), "outbox");
    }

    function _leaves(uint256 seed, uint256 n) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](n);
        for (uint256 i = 0; i < n; ++i) {
            leaves[i] = keccak256(abi.encode(seed, i));
        }
    }

    function test_merkle_root(uint256 seed, uint256 n) public pure {
        n = bound(n, 0, 40);
        bytes32[] memory leaves = _leaves(seed, n);
        bytes32 expected = Naive.merkle(leaves);
        assertEq(MerkleRfc6962.root(leaves), expected, "root");
    }

    function test_merkle_proofs(uint256 seed, uint256 n, uint256 index, uint256 other) public pure {
        n = bound(n, 1, 40);
        index = bound(index, 0, n - 1);
        other = bound(other, 0, n + 1);
        bytes32[] memory leaves = _leaves(seed, n);
        bytes32 root = Naive.merkle(leaves);
        bytes32[] memory path = Naive.merklePath(leaves, index);
        bytes32 leaf = leaves[index];
        assertTrue(MerkleRfc6962.verify(root, leaf, index, n, path), "proof");
        if (other != index) assertTrue(!MerkleRfc6962.verify(root, leaf, other, n, path), "another place");
        assertTrue(!MerkleRfc6962.verify(root, ~leaf, index, n, path), "another leaf");
        assertTrue(!MerkleRfc6962.verify(root, leaf, index, n, Naive.append(path, leaf)), "longer");
        if (path.length == 0) return;
        path[seed % path.length] ^= bytes32(uint256(1));
        assertTrue(!MerkleRfc6962.verify(root, leaf, index, n, path), "another path");
    }

    function test_withdrawal_proofs(uint256 seed, uint256 n, uint256 index, uint256 bit) public view {
        n = bound(n, 1, 20);
        index = bound(index, 0, n - 1);
        bytes32[] memory leaves = _leaves(seed, n);
        (bytes32 root, bytes32[32] memory path) = Naive.withdrawalTree(leaves, index);
        assertTrue(lib.inTree(root, leaves[index], uint64(index), path), "proof");
        assertTrue(!lib.inTree(root, leaves[index], uint64(index ^ 1), path), "another place");
        assertTrue(!lib.inTree(root, leaves[index], uint64(index + (1 << 32)), path), "beyond the tree");
        path[bit % 32] ^= bytes32(uint256(1) << (bit % 251));
        assertTrue(!lib.inTree(root, leaves[index], uint64(index), path), "another path");
    }

    function test_empty_tree() public view {
        (bytes32 root,) = Naive.withdrawalTree(new bytes32[](0), 0);
        assertEq(WithdrawalTree.emptyRoot(), root, "empty");
    }

    function test_state_proofs(uint256 seed, uint256 n, uint256 index, uint256 bit) public view {
        n = bound(n, 1, 24);
        index = bound(index, 0, n - 1);
        Naive.Node[] memory nodes = new Naive.Node[](n);
        for (uint256 i = 0; i < n; ++i) {
            nodes[i] = Naive.object(abi.encode(seed, i), abi.encode(i));
        }
        bytes32 root = Naive.trie(nodes, 0);
        bytes memory key = abi.encode(seed, index);
        bytes memory value = abi.encode(index);
        bytes32[] memory path = Naive.triePath(nodes, sha256(key));
        assertTrue(lib.inState(root, key, value, path), "proof");
        assertTrue(!lib.inState(root, key, abi.encode(index + 1), path), "another value");
        assertTrue(!lib.inState(root, abi.encode(seed, n), value, path), "another key");
        assertTrue(!lib.inState(root, key, value, Naive.append(path, root)), "longer");
        assertTrue(!lib.inState(root, key, value, new bytes32[](257)), "too long");
        if (path.length == 0) return;
        path[bit % path.length] ^= bytes32(uint256(1) << (bit % 251));
        assertTrue(!lib.inState(root, key, value, path), "another path");
    }

    function test_account_objects(uint64 nonce, uint256 balance, bool code) public {
        bytes memory object = abi.encodePacked(_varint(nonce), _amount(balance));
        if (code) object = abi.encodePacked(object, keccak256("code"));
        assertEq(lib.accountBalance(object), balance, "balance");
        vm.expectRevert(StateObjects.Malformed.selector);
        lib.accountBalance(abi.encodePacked(object, hex"00"));
    }

    function test_slot_objects(uint256 value) public {
        bytes memory object = _amount(value);
        assertEq(lib.slotValue(object), value, "value");
        vm.expectRevert(StateObjects.Malformed.selector);
        lib.slotValue(abi.encodePacked(object, hex"00"));
    }

    function _varint(uint64 x) private pure returns (bytes memory out) {
        while (x >= 0x80) {
            out = abi.encodePacked(out, uint8(x & 0x7f) | 0x80);
            x >>= 7;
        }
        out = abi.encodePacked(out, uint8(x));
    }

    function _amount(uint256 x) private pure returns (bytes memory out) {
        uint256 size = 0;
        while (size < 32 && x >> (8 * size) != 0) ++size;
        out = abi.encodePacked(uint8(size));
        for (uint256 i = size; i > 0; --i) {
            out = abi.encodePacked(out, uint8(x >> (8 * (i - 1))));
        }
    }
}
