// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Merkle trees of RFC 6962 under SHA-256, over 32-byte leaves
library MerkleRfc6962 {
    /// @notice Root of the leaves in order; zero for none. Overwrites `leaves`.
    /// @dev Level by level; a node without a partner goes up as it is, which is the split at the
    /// largest power of two that the RFC defines.
    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        uint256 n = leaves.length;
        if (n == 0) return bytes32(0);
        for (uint256 i = 0; i < n; ++i) {
            leaves[i] = leaf(leaves[i]);
        }
        while (n > 1) {
            uint256 half = n / 2;
            for (uint256 i = 0; i < half; ++i) {
                leaves[i] = node(leaves[2 * i], leaves[2 * i + 1]);
            }
            if (n % 2 == 1) leaves[half] = leaves[n - 1];
            n = half + (n % 2);
        }
        return leaves[0];
    }

    /// @notice Whether `value` is leaf `index` of the `size` leaves under `expected`.
    /// @param proof Siblings from the leaf upward (RFC 9162, 2.1.3.2).
    function verify(bytes32 expected, bytes32 value, uint256 index, uint256 size, bytes32[] memory proof)
        internal
        pure
        returns (bool)
    {
        if (index >= size) return false;
        uint256 last = size - 1;
        bytes32 hash = leaf(value);
        for (uint256 i = 0; i < proof.length; ++i) {
            if (last == 0) return false;
            if (index % 2 == 1 || index == last) {
                hash = node(proof[i], hash);
                while (index % 2 == 0 && index != 0) {
                    index /= 2;
                    last /= 2;
                }
            } else {
                hash = node(hash, proof[i]);
            }
            index /= 2;
            last /= 2;
        }
        return last == 0 && hash == expected;
    }

    function leaf(bytes32 value) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), value));
    }

    function node(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }
}
