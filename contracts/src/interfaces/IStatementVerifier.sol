// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Decides whether a statement is proven
/// @notice Named by an environment's policy. Until one exists, only the timelock ends a challenge.
interface IStatementVerifier {
    /// @param programId The program whose execution is claimed.
    /// @param statementHash The public input.
    /// @param proof The proof, in the verifier's own format.
    /// @return Whether the proof shows that the program yields this statement.
    function verify(bytes32 programId, bytes32 statementHash, bytes calldata proof) external view returns (bool);
}
