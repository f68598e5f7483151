// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Range} from "../../src/lib/Words.sol";
import {Commitment, Entry, NetTransfer, Statement, Withdrawal} from "../../src/Types.sol";

/// @notice The hashes of docs/SETTLEMENT.md, written down a second time and as plainly as possible.
library Naive {
    struct Node {
        bytes32 path;
        bytes32 value;
    }

    function word(uint256 x) internal pure returns (bytes memory) {
        return abi.encodePacked(x);
    }

    function entry(Entry memory e) internal pure returns (bytes32) {
        bytes memory head = abi.encode(bytes32("atoll hub entry"), e.index, e.kind, e.environment, e.from, e.to);
        return sha256(bytes.concat(head, abi.encode(e.token, e.amount, sha256(e.data), e.time)));
    }

    function queue(bytes32 before, bytes32 entryHash) internal pure returns (bytes32) {
        return sha256(bytes.concat(bytes32("atoll hub queue"), before, entryHash));
    }

    function withdrawal(Withdrawal memory w) internal pure returns (bytes32) {
        bytes memory head = abi.encode(bytes32("atoll withdrawal"), w.index, w.environment);
        return sha256(bytes.concat(head, abi.encode(w.from, w.to, w.token, w.amount)));
    }

    function statement(Statement memory s, Range memory r) internal pure returns (bytes32) {
        bytes memory b = bytes.concat(bytes32("atoll statement"), word(1), r.network, word(s.environment));
        b = bytes.concat(b, s.specHash, s.programId, word(r.firstSlot), word(r.lastSlot));
        b = bytes.concat(b, word(s.firstTimeUs), word(s.lastTimeUs), s.preRoot, s.postRoot, s.batch);
        b = bytes.concat(b, word(r.cursorBefore), word(r.cursorAfter), s.inbox, s.outbox, s.receipts);
        return sha256(bytes.concat(b, s.foreignRoots));
    }

    function routerOutbox(bytes32 root, uint64 count, bytes32 transfersHash) internal pure returns (bytes32) {
        return sha256(bytes.concat(bytes32("atoll router outbox"), root, word(count), transfersHash));
    }

    function transfers(NetTransfer[] memory t) internal pure returns (bytes32) {
        if (t.length == 0) return 0;
        bytes memory b;
        for (uint256 i = 0; i < t.length; ++i) {
            b = bytes.concat(b, abi.encode(t[i].environment, t[i].token, t[i].delta));
        }
        return sha256(b);
    }

    function commitment(Commitment memory c, bytes32 network, bytes32 previous, bytes32 statements, bytes32 t)
        internal
        pure
        returns (bytes32)
    {
        bytes memory b = bytes.concat(bytes32("atoll commitment"), network, previous, word(c.number));
        b = bytes.concat(b, word(c.firstSlot), word(c.lastSlot), c.slotHash, word(c.cursor), c.queueHash);
        b = bytes.concat(b, statements, c.withdrawalsRoot, word(c.withdrawalsCount), t, c.data);
        return sha256(b);
    }

    function availability(bytes32 network, uint64 first, uint64 last, bytes32 data) internal pure returns (bytes32) {
        return sha256(bytes.concat(bytes32("atoll availability"), network, word(first), word(last), data));
    }

    /// @notice RFC 6962, 2.1, word by word.
    function merkle(bytes32[] memory leaves, uint256 start, uint256 end) internal pure returns (bytes32) {
        if (end == start) return 0;
        if (end - start == 1) return sha256(bytes.concat(bytes1(0), leaves[start]));
        uint256 k = split(end - start);
        bytes32 left = merkle(leaves, start, start + k);
        return sha256(bytes.concat(bytes1(0x01), left, merkle(leaves, start + k, end)));
    }

    function merkle(bytes32[] memory leaves) internal pure returns (bytes32) {
        return merkle(leaves, 0, leaves.length);
    }

    /// @notice Siblings of leaf `index`, from the leaf upward.
    function merklePath(bytes32[] memory leaves, uint256 index) internal pure returns (bytes32[] memory) {
        return _path(leaves, 0, leaves.length, index);
    }

    function _path(bytes32[] memory leaves, uint256 start, uint256 end, uint256 index)
        private
        pure
        returns (bytes32[] memory)
    {
        if (end - start == 1) return new bytes32[](0);
        uint256 k = split(end - start);
        return index < start + k
            ? append(_path(leaves, start, start + k, index), merkle(leaves, start + k, end))
            : append(_path(leaves, start + k, end, index), merkle(leaves, start, start + k));
    }

    function split(uint256 n) internal pure returns (uint256 k) {
        k = 1;
        while (2 * k < n) k *= 2;
    }

    function append(bytes32[] memory list, bytes32 item) internal pure returns (bytes32[] memory out) {
        out = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) {
            out[i] = list[i];
        }
        out[list.length] = item;
    }

    /// @notice Root of the tree of withdrawals and siblings of leaf `index`.
    function withdrawalTree(bytes32[] memory leaves, uint256 index)
        internal
        pure
        returns (bytes32 root, bytes32[32] memory siblings)
    {
        bytes32 empty = 0;
        bytes32[] memory level = leaves;
        for (uint256 depth = 0; depth < 32; ++depth) {
            siblings[depth] = (index ^ 1) < level.length ? level[index ^ 1] : empty;
            bytes32[] memory up = new bytes32[]((level.length + 1) / 2);
            for (uint256 i = 0; i < up.length; ++i) {
                bytes32 right = 2 * i + 1 < level.length ? level[2 * i + 1] : empty;
                up[i] = sha256(bytes.concat(level[2 * i], right));
            }
            level = up;
            index /= 2;
            empty = sha256(bytes.concat(empty, empty));
        }
        root = level.length == 0 ? empty : level[0];
    }

    function object(bytes memory key, bytes memory value) internal pure returns (Node memory) {
        return Node(sha256(key), sha256(value));
    }

    /// @notice Root of a state: NOMT's trie, by definition.
    function trie(Node[] memory nodes, uint256 depth) internal pure returns (bytes32) {
        if (nodes.length == 0) return 0;
        if (nodes.length == 1) {
            return sha256(bytes.concat(nodes[0].path, nodes[0].value)) | bytes32(uint256(1) << 255);
        }
        bytes32 left = trie(side(nodes, depth, 0), depth + 1);
        bytes32 hash = sha256(bytes.concat(left, trie(side(nodes, depth, 1), depth + 1)));
        return hash & ~bytes32(uint256(1) << 255);
    }

    /// @notice Siblings from the root downward.
    function triePath(Node[] memory nodes, bytes32 path) internal pure returns (bytes32[] memory siblings) {
        uint256 depth = 0;
        while (nodes.length > 1) {
            uint256 bit = (uint256(path) >> (255 - depth)) & 1;
            siblings = append(siblings, trie(side(nodes, depth, 1 - bit), depth + 1));
            nodes = side(nodes, depth, bit);
            ++depth;
        }
    }

    function side(Node[] memory nodes, uint256 depth, uint256 bit) internal pure returns (Node[] memory out) {
        uint256 n = 0;
        out = new Node[](nodes.length);
        for (uint256 i = 0; i < nodes.length; ++i) {
            if ((uint256(nodes[i].path) >> (255 - depth)) & 1 == bit) out[n++] = nodes[i];
        }
        assembly ("memory-safe") {
            mstore(out, n)
        }
    }
}
