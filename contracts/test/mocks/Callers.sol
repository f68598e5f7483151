// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IStatementVerifier} from "../../src/interfaces/IStatementVerifier.sol";

/// @notice Calls its target again when it is paid; remembers why that failed.
contract Reenterer {
    address private immutable _target;
    bytes private _again;
    bytes public answer;
    bool public succeeded;

    constructor(address target, bytes memory again) {
        (_target, _again) = (target, again);
    }

    receive() external payable {
        if (_again.length == 0) return;
        bytes memory call_ = _again;
        delete _again;
        (succeeded, answer) = _target.call(call_);
    }
}

/// @notice Takes no ether.
contract Refuser {}

/// @notice Accepts the proof "yes" and no other.
contract VerifierMock is IStatementVerifier {
    function verify(bytes32, bytes32, bytes calldata proof) external pure returns (bool) {
        return keccak256(proof) == keccak256("yes");
    }
}
