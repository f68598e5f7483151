// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ledger} from "../Types.sol";

/// @title Keys and values of the state's objects that the hub reads
library StateObjects {
    error Malformed();

    /// @notice The bridge's predeploy in EVM environments.
    address internal constant ENVIRONMENT_BRIDGE = 0xa701100000000000000000000000000000000001;
    /// @notice Keccak-256 of `BridgedToken`'s creation code. Fixed: running environments have
    /// tokens at the addresses that follow from it.
    bytes32 internal constant BRIDGED_TOKEN_CODE_HASH =
        0x4034ffd7c0d11381ab91d8b1b9c03c3a9fef465373d7b8f94fafdb382292e6bb;

    /// @notice A router ledger.
    function ledgerKey(uint32 environment, address token) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(0x01), environment, token);
    }

    function ledgerValue(Ledger memory ledger) internal pure returns (bytes memory) {
        return abi.encode(ledger.deposits, ledger.inflow, ledger.outflow, ledger.withdrawals);
    }

    /// @notice What an account of an exchange could take out.
    function claimKey(address account, address token) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(0x50), account, token);
    }

    /// @notice Sum of all claims of a token.
    function claimTotalKey(address token) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(0x51), token);
    }

    /// @notice An EVM account.
    function accountKey(address account) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(0x01), account);
    }

    /// @notice A storage slot of an EVM contract.
    function slotKey(address token, uint256 slot) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(0x02), token, slot);
    }

    /// @notice Where a bridged token keeps a holder's balance.
    function balanceSlot(address holder) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(holder, uint256(0))));
    }

    /// @notice Where EVM environments keep a token of the hub.
    function bridgedToken(address token) internal pure returns (address) {
        bytes32 hash = keccak256(
            abi.encodePacked(
                bytes1(0xff), ENVIRONMENT_BRIDGE, bytes32(uint256(uint160(token))), BRIDGED_TOKEN_CODE_HASH
            )
        );
        return address(uint160(uint256(hash)));
    }

    /// @notice Value of a claim: one word.
    function word(bytes calldata object) internal pure returns (uint256) {
        if (object.length != 32) revert Malformed();
        return uint256(bytes32(object));
    }

    /// @notice Balance of an account: after the nonce, before the code hash.
    function accountBalance(bytes calldata object) internal pure returns (uint256 balance) {
        uint256 offset = 0;
        // The nonce is a LEB128 varint of at most 64 bits.
        while (true) {
            if (offset >= object.length || offset == 10) revert Malformed();
            bool more = uint8(object[offset]) & 0x80 != 0;
            ++offset;
            if (!more) break;
        }
        (balance, offset) = _amount(object, offset);
        uint256 rest = object.length - offset;
        if (rest != 0 && rest != 32) revert Malformed();
    }

    /// @notice Value of a storage slot.
    function slotValue(bytes calldata object) internal pure returns (uint256 value) {
        uint256 end;
        (value, end) = _amount(object, 0);
        if (end != object.length) revert Malformed();
    }

    /// @dev Length (one byte), then that many bytes, big-endian.
    function _amount(bytes calldata object, uint256 offset) private pure returns (uint256 value, uint256 end) {
        if (offset >= object.length) revert Malformed();
        uint256 size = uint8(object[offset]);
        end = offset + 1 + size;
        if (size > 32 || end > object.length) revert Malformed();
        if (size > 0) value = uint256(bytes32(object[offset + 1:end])) >> (8 * (32 - size));
    }
}
