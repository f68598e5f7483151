// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Commitment, Entry, NetTransfer, Statement, Withdrawal} from "../Types.sol";

/// @notice What a commitment says of all its statements alike.
struct Range {
    bytes32 network;
    uint64 firstSlot;
    uint64 lastSlot;
    uint64 cursorBefore;
    uint64 cursorAfter;
}

/// @title The hashes that the hub shares with the nodes
/// @notice `H(tag, words…) = sha256(tag ‖ words…)`: a tag left-aligned in 32 bytes, then big-endian
/// words. Specified in docs/SETTLEMENT.md, checked against testdata/settlement.json.
library Words {
    /// @notice Version of the state transition function.
    uint32 internal constant PROTOCOL_VERSION = 1;
    /// @notice Kinds of queue entries.
    uint8 internal constant DEPOSIT = 1;
    uint8 internal constant FORCED = 2;

    /// @notice Hash of a queue entry, given the hash of its data.
    function entry(
        uint64 index,
        uint8 kind,
        uint32 environment,
        address from,
        address to,
        address token,
        uint256 amount,
        bytes32 dataHash,
        uint64 time
    ) internal pure returns (bytes32) {
        return sha256(
            abi.encode(bytes32("atoll hub entry"), index, kind, environment, from, to, token, amount, dataHash, time)
        );
    }

    /// @notice Hash of a queue entry.
    function entry(Entry calldata e) internal pure returns (bytes32) {
        return entry(
            e.index, e.kind, e.environment, e.from, e.to, e.token, e.amount, sha256(e.data), e.time
        );
    }

    /// @notice Running hash behind an entry.
    function queue(bytes32 before, bytes32 entryHash) internal pure returns (bytes32) {
        return sha256(abi.encode(bytes32("atoll hub queue"), before, entryHash));
    }

    /// @notice Leaf of the tree of withdrawals.
    function withdrawal(Withdrawal calldata w) internal pure returns (bytes32) {
        return sha256(
            abi.encode(bytes32("atoll withdrawal"), w.index, w.environment, w.from, w.to, w.token, w.amount)
        );
    }

    /// @notice Hash of a statement.
    function statement(Statement calldata s, Range memory range) internal view returns (bytes32) {
        bytes32[19] memory w;
        w[0] = "atoll statement";
        w[1] = bytes32(uint256(PROTOCOL_VERSION));
        w[2] = range.network;
        w[3] = bytes32(uint256(s.environment));
        w[4] = s.specHash;
        w[5] = s.programId;
        w[6] = bytes32(uint256(range.firstSlot));
        w[7] = bytes32(uint256(range.lastSlot));
        w[8] = bytes32(uint256(s.firstTimeUs));
        w[9] = bytes32(uint256(s.lastTimeUs));
        w[10] = s.preRoot;
        w[11] = s.postRoot;
        w[12] = s.batch;
        w[13] = bytes32(uint256(range.cursorBefore));
        w[14] = bytes32(uint256(range.cursorAfter));
        w[15] = s.inbox;
        w[16] = s.outbox;
        w[17] = s.receipts;
        w[18] = s.foreignRoots;
        uint256 start;
        assembly ("memory-safe") {
            start := w
        }
        return _sha256(start, 19 * 32);
    }

    /// @notice The router's outbox in an anchored statement.
    function routerOutbox(bytes32 withdrawalsRoot, uint64 withdrawalsCount, bytes32 transfersHash)
        internal
        pure
        returns (bytes32)
    {
        return sha256(
            abi.encode(bytes32("atoll router outbox"), withdrawalsRoot, withdrawalsCount, transfersHash)
        );
    }

    /// @notice Hash of net transfers; zero if there are none. The struct's words are hashed as they
    /// stand in the call.
    function transfers(NetTransfer[] calldata t) internal view returns (bytes32) {
        if (t.length == 0) return bytes32(0);
        uint256 start;
        assembly ("memory-safe") {
            start := mload(0x40)
            calldatacopy(start, t.offset, mul(t.length, 96))
        }
        return _sha256(start, t.length * 96);
    }

    /// @notice Hash of a commitment.
    function commitment(
        Commitment calldata c,
        bytes32 network,
        bytes32 previous,
        bytes32 statementsRoot,
        bytes32 transfersHash
    ) internal view returns (bytes32) {
        bytes32[14] memory w;
        w[0] = "atoll commitment";
        w[1] = network;
        w[2] = previous;
        w[3] = bytes32(uint256(c.number));
        w[4] = bytes32(uint256(c.firstSlot));
        w[5] = bytes32(uint256(c.lastSlot));
        w[6] = c.slotHash;
        w[7] = bytes32(uint256(c.cursor));
        w[8] = c.queueHash;
        w[9] = statementsRoot;
        w[10] = c.withdrawalsRoot;
        w[11] = bytes32(uint256(c.withdrawalsCount));
        w[12] = transfersHash;
        w[13] = c.data;
        uint256 start;
        assembly ("memory-safe") {
            start := w
        }
        return _sha256(start, 14 * 32);
    }

    /// @notice What a committee member signs.
    function availability(bytes32 network, uint64 firstSlot, uint64 lastSlot, bytes32 data)
        internal
        pure
        returns (bytes32)
    {
        return sha256(abi.encode(bytes32("atoll availability"), network, firstSlot, lastSlot, data));
    }

    /// @notice A blob in a commitment's data.
    function blob(bytes32 versionedHash) internal pure returns (bytes32) {
        return sha256(abi.encode(bytes32("atoll blob"), versionedHash));
    }

    /// @notice sha256 of two words.
    function pair(bytes32 left, bytes32 right) internal view returns (bytes32 hash) {
        assembly ("memory-safe") {
            mstore(0x00, left)
            mstore(0x20, right)
            if iszero(staticcall(gas(), 2, 0x00, 0x40, 0x00, 0x20)) { revert(0, 0) }
            hash := mload(0x00)
        }
    }

    /// @dev sha256 of memory.
    function _sha256(uint256 start, uint256 size) private view returns (bytes32 hash) {
        assembly ("memory-safe") {
            if iszero(staticcall(gas(), 2, start, size, 0x00, 0x20)) { revert(0, 0) }
            hash := mload(0x00)
        }
    }
}
