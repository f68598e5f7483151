// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Words} from "./Words.sol";

/// @title Proofs of presence in an environment's state: NOMT's binary trie under SHA-256
library StateProof {
    uint256 private constant FIRST_BIT = 1 << 255;

    /// @notice Whether the state with this root holds `value` under `key`.
    /// @param siblings From the root downward.
    function verify(bytes32 root, bytes memory key, bytes memory value, bytes32[] calldata siblings)
        internal
        view
        returns (bool)
    {
        if (siblings.length > 256) return false;
        bytes32 path = sha256(key);
        bytes32 hash = Words.pair(path, sha256(value)) | bytes32(FIRST_BIT);
        for (uint256 depth = siblings.length; depth > 0; --depth) {
            bool right = uint256(path) & (FIRST_BIT >> (depth - 1)) != 0;
            hash = right ? Words.pair(siblings[depth - 1], hash) : Words.pair(hash, siblings[depth - 1]);
            hash &= ~bytes32(FIRST_BIT);
        }
        return hash == root;
    }
}
