// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Words} from "./Words.sol";

/// @title The tree of withdrawals: binary, of depth 32, empty leaves zero
library WithdrawalTree {
    uint256 internal constant DEPTH = 32;

    /// @notice Root over a leaf and its siblings from the leaf upward.
    function rootOf(bytes32 leaf, uint64 index, bytes32[32] calldata siblings) internal view returns (bytes32 hash) {
        hash = leaf;
        for (uint256 level = 0; level < DEPTH; ++level) {
            hash = (index >> level) & 1 == 0
                ? Words.pair(hash, siblings[level])
                : Words.pair(siblings[level], hash);
        }
    }

    /// @notice Whether `leaf` stands at `index` under `root`.
    function verify(bytes32 root, bytes32 leaf, uint64 index, bytes32[32] calldata siblings)
        internal
        view
        returns (bool)
    {
        return index < 1 << DEPTH && rootOf(leaf, index, siblings) == root;
    }

    /// @notice Root of the tree without leaves.
    function emptyRoot() internal view returns (bytes32 hash) {
        for (uint256 level = 0; level < DEPTH; ++level) {
            hash = Words.pair(hash, hash);
        }
    }
}
