// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BridgedToken} from "./BridgedToken.sol";

/// @title Sends money out of an EVM environment and takes in what arrives
/// @notice Stands at 0xA701100000000000000000000000000000000001 from genesis on and has no state of
/// its own. Each `MessageSent` is a message of the slot; what cannot be routed comes back through
/// `receiveToken` or, in native currency, as a credit by the VM.
contract EnvironmentBridge {
    /// @notice Money leaves for an environment, or for the hub (destination 0). `token` is the
    /// hub's address of it; zero is the native currency, which the VM burns from this contract.
    event MessageSent(
        uint32 indexed destination, address indexed token, address indexed from, address to, uint256 amount
    );
    /// @notice A token of the hub arrived for the first time.
    event TokenCreated(address indexed token, address bridged);

    error NotSystem(address caller);
    error ZeroAddress();
    error ZeroAmount();
    error WrongValue(uint256 expected, uint256 given);
    error UnknownToken(address token);

    /// @notice Whom the VM calls as.
    address public constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;

    /// @notice Sends `amount` of the caller's money.
    /// @param destination An environment; 0 withdraws to the hub.
    /// @param token The token's address on the hub; zero: native currency, sent along.
    function send(uint32 destination, address token, address to, uint256 amount) external payable {
        if (to == address(0)) revert ZeroAddress();
        if (amount == 0) revert ZeroAmount();
        uint256 expected = token == address(0) ? amount : 0;
        if (msg.value != expected) revert WrongValue(expected, msg.value);
        if (token != address(0)) {
            address bridged = tokenOf(token);
            if (bridged.code.length == 0) revert UnknownToken(token);
            BridgedToken(bridged).burn(msg.sender, amount);
        }
        emit MessageSent(destination, token, msg.sender, to, amount);
    }

    /// @notice Mints what arrived; creates the token when it arrives for the first time. System only.
    function receiveToken(
        address token,
        string calldata name,
        string calldata symbol,
        uint8 decimals,
        address to,
        uint256 amount
    ) external {
        if (msg.sender != SYSTEM) revert NotSystem(msg.sender);
        if (token == address(0)) revert ZeroAddress();
        BridgedToken bridged = BridgedToken(tokenOf(token));
        if (address(bridged).code.length == 0) {
            bridged = new BridgedToken{salt: _salt(token)}();
            bridged.initialize(token, name, symbol, decimals);
            emit TokenCreated(token, address(bridged));
        }
        bridged.mint(to, amount);
    }

    /// @notice Where a token of the hub is, or will be, in this environment.
    function tokenOf(address token) public view returns (address) {
        bytes32 code = keccak256(type(BridgedToken).creationCode);
        bytes32 hash = keccak256(abi.encodePacked(bytes1(0xff), address(this), _salt(token), code));
        return address(uint160(uint256(hash)));
    }

    function _salt(address token) private pure returns (bytes32) {
        return bytes32(uint256(uint160(token)));
    }
}
