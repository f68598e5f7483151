// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ed25519} from "../src/environment/Ed25519.sol";
import {Test} from "./lib/Test.sol";

/// @notice Stands in for a precompile: answers 1 to one input, nothing to any other.
contract OneInput {
    bytes32 private immutable _hash;

    constructor(bytes memory input) {
        _hash = keccak256(input);
    }

    fallback() external {
        bool known = keccak256(msg.data) == _hash;
        assembly {
            mstore(0, 1)
            return(0, mul(known, 32))
        }
    }
}

/// @notice The input that the library makes, as bytes of RFC 8032's second vector. What the
/// precompiles say to the same bytes is tested in Rust.
contract Ed25519Test is Test {
    bytes32 private constant KEY = 0x3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c;
    bytes private constant SIGNATURE =
        hex"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        hex"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    bytes private constant INPUT =
        hex"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        hex"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        hex"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c0072";

    function _stand(address precompile, bytes memory input) private {
        vm.etch(precompile, address(new OneInput(input)).code);
    }

    function verify(bytes memory signature, bytes memory message) external view returns (bool) {
        return Ed25519.verify(KEY, signature, message);
    }

    function test_one_signature() public {
        assertTrue(!Ed25519.verify(KEY, SIGNATURE, hex"72"), "no precompile, no signature");
        _stand(Ed25519.VERIFY, INPUT);
        assertTrue(Ed25519.verify(KEY, SIGNATURE, hex"72"), "right");
        assertTrue(!Ed25519.verify(KEY, SIGNATURE, hex"73"), "wrong");
        vm.expectRevert(abi.encodeWithSelector(Ed25519.WrongLength.selector, 64, 63));
        this.verify(new bytes(63), hex"72");
    }

    function test_a_batch() public {
        bytes memory entry = Ed25519.entry(KEY, SIGNATURE, hex"72");
        _stand(Ed25519.VERIFY_BATCH, bytes.concat(hex"00000001", INPUT, hex"00000001", INPUT));
        assertTrue(Ed25519.verifyBatch(bytes.concat(entry, entry)), "right");
        assertTrue(!Ed25519.verifyBatch(entry), "wrong");
        assertTrue(!Ed25519.verifyBatch(""), "none");
    }
}
