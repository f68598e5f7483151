// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IBridge} from "../../src/interfaces/IBridge.sol";

contract MintableToken is ERC20("Mock", "MOCK") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @notice Keeps one percent of every transfer.
contract FeeToken is MintableToken {
    function _update(address from, address to, uint256 amount) internal override {
        if (from == address(0) || to == address(0)) return super._update(from, to, amount);
        super._update(from, address(0xfee), amount / 100);
        super._update(from, to, amount - amount / 100);
    }
}

/// @notice Can take from a balance without a transfer.
contract RebasingToken is MintableToken {
    function shrink(address account, uint256 amount) external {
        _burn(account, amount);
    }
}

/// @notice Calls the bridge again while it is transferred.
contract ReentrantToken is MintableToken {
    IBridge private immutable _bridge;
    bytes private _again;

    constructor(IBridge bridge) {
        _bridge = bridge;
    }

    function arm(bytes calldata again) external {
        _again = again;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (_again.length == 0) return;
        bytes memory call_ = _again;
        delete _again;
        (bool ok, bytes memory data) = address(_bridge).call(call_);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(data, 0x20), mload(data))
            }
        }
    }
}
