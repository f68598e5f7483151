// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Ed25519 signatures, checked by an environment's precompiles
/// @notice By the rules of ZIP-215, alone and in a batch alike. An environment has the precompiles if
/// its spec names them ("ed25519", "ed25519-batch"); elsewhere every signature counts as wrong.
/// `docs/evm/precompiles.md` gives prices.
library Ed25519 {
    /// @notice One signature: public key (32 bytes), R and s (64), message.
    address internal constant VERIFY = 0xa701100000000000000000000000000000000002;
    /// @notice Many: for each the length of its message (4 bytes, big-endian), then the same.
    address internal constant VERIFY_BATCH = 0xA701100000000000000000000000000000000003;

    error WrongLength(uint256 expected, uint256 given);

    /// @notice Whether `signature` (64 bytes) is the key's for `message`, which is not hashed before.
    function verify(bytes32 publicKey, bytes memory signature, bytes memory message) internal view returns (bool) {
        if (signature.length != 64) revert WrongLength(64, signature.length);
        return _yes(VERIFY, abi.encodePacked(publicKey, signature, message));
    }

    /// @notice A signature's entry in a batch; concatenate them with `bytes.concat`.
    function entry(bytes32 publicKey, bytes memory signature, bytes memory message)
        internal
        pure
        returns (bytes memory)
    {
        if (signature.length != 64) revert WrongLength(64, signature.length);
        return abi.encodePacked(uint32(message.length), publicKey, signature, message);
    }

    /// @notice Whether every signature of the entries is right. Of no entries that is false.
    function verifyBatch(bytes memory entries) internal view returns (bool) {
        return _yes(VERIFY_BATCH, entries);
    }

    /// The precompiles have no code, which a call through an interface would ask for.
    function _yes(address precompile, bytes memory input) private view returns (bool) {
        (bool success, bytes memory output) = precompile.staticcall(input);
        return success && output.length == 32 && abi.decode(output, (uint256)) == 1;
    }
}
