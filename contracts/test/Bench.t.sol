// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BenchPair} from "../src/bench/BenchPair.sol";
import {BenchToken} from "../src/bench/BenchToken.sol";
import {Test} from "./lib/Test.sol";

/// @notice The pool and the token of `atoll bench evm`, set up by their storage as the benchmark does it.
contract BenchTest is Test {
    uint112 private constant RESERVE = 1e24;
    address private constant TRADER = address(0x7ade);

    BenchToken[2] private _tokens;
    BenchPair private _pair;

    function setUp() public {
        _pair = new BenchPair();
        for (uint256 i = 0; i < 2; i++) {
            _tokens[i] = new BenchToken();
            _put(address(_pair), bytes32(i), bytes32(uint256(uint160(address(_tokens[i])))));
            _give(_tokens[i], address(_pair), RESERVE);
            _give(_tokens[i], TRADER, RESERVE);
            vm.prank(TRADER);
            _tokens[i].approve(address(_pair), type(uint256).max);
        }
        uint256 packed = uint256(RESERVE) | uint256(RESERVE) << 112 | (block.timestamp - 1) << 224;
        _put(address(_pair), bytes32(uint256(2)), bytes32(packed));
        _put(address(_pair), bytes32(uint256(5)), bytes32(uint256(1)));
    }

    function _put(address target, bytes32 slot, bytes32 value) private {
        vm.store(target, slot, value);
    }

    function _give(BenchToken token, address to, uint256 amount) private {
        _put(address(token), keccak256(abi.encode(to, uint256(0))), bytes32(amount));
    }

    function testFuzz_aSwapKeepsTheProductAndMovesBothTokens(uint256 amount, bool zeroForOne) public {
        amount = 1_000 + amount % (uint256(RESERVE) - 1_000);
        (BenchToken into, BenchToken from) = zeroForOne ? (_tokens[0], _tokens[1]) : (_tokens[1], _tokens[0]);
        vm.prank(TRADER);
        uint256 got = _pair.swap(zeroForOne, amount, 1, TRADER);
        uint256 withFee = amount * 997;
        assertEq(got, withFee * RESERVE / (uint256(RESERVE) * 1000 + withFee), "out");
        assertEq(into.balanceOf(TRADER), RESERVE - amount, "paid");
        assertEq(from.balanceOf(TRADER), RESERVE + got, "received");
        (uint256 reserve0, uint256 reserve1,) = _pair.reserves();
        assertEq(reserve0, _tokens[0].balanceOf(address(_pair)), "reserve 0");
        assertEq(reserve1, _tokens[1].balanceOf(address(_pair)), "reserve 1");
        assertTrue(reserve0 * reserve1 >= uint256(RESERVE) * RESERVE, "product");
        assertEq(_pair.price0Sum(), 1 << 112, "price of a second");
    }

    function test_whatIsWrongIsRefused() public {
        vm.prank(TRADER);
        vm.expectRevert();
        _pair.swap(true, 1_000, 1_000, TRADER);
        vm.expectRevert();
        _pair.swap(true, 1_000, 1, address(this));
        _put(address(_pair), bytes32(uint256(5)), bytes32(uint256(2)));
        vm.prank(TRADER);
        vm.expectRevert(BenchPair.Locked.selector);
        _pair.swap(true, 1_000, 1, TRADER);
        vm.prank(TRADER);
        vm.expectRevert();
        _tokens[0].transfer(address(1), uint256(RESERVE) + 1);
    }
}
