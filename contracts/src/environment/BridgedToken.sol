// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token of the hub inside an EVM environment
/// @notice Created by the environment's bridge, which alone mints and burns. The constructor takes
/// nothing, so that the address follows from the hub token alone; balances are at slot 0, where a
/// snapshot exit reads them.
contract BridgedToken is ERC20 {
    error NotBridge(address caller);
    error AlreadyInitialised();

    /// @notice The environment's bridge.
    address public immutable bridge;
    /// @notice The token on the hub.
    address public hubToken;
    uint8 private _decimals;
    string private _bridgedName;
    string private _bridgedSymbol;

    modifier onlyBridge() {
        if (msg.sender != bridge) revert NotBridge(msg.sender);
        _;
    }

    constructor() ERC20("", "") {
        bridge = msg.sender;
    }

    /// @notice Sets what the constructor must not take. Once, by the bridge.
    function initialize(address token, string calldata name_, string calldata symbol_, uint8 decimals_)
        external
        onlyBridge
    {
        if (hubToken != address(0)) revert AlreadyInitialised();
        (hubToken, _bridgedName, _bridgedSymbol, _decimals) = (token, name_, symbol_, decimals_);
    }

    function mint(address to, uint256 amount) external onlyBridge {
        _mint(to, amount);
    }

    function burn(address from, uint256 amount) external onlyBridge {
        _burn(from, amount);
    }

    function name() public view override returns (string memory) {
        return _bridgedName;
    }

    function symbol() public view override returns (string memory) {
        return _bridgedSymbol;
    }

    function decimals() public view override returns (uint8) {
        return _decimals;
    }
}
