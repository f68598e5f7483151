// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IHubQueue} from "../src/interfaces/IHubQueue.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import "../src/Types.sol";
import {HubTest} from "./lib/HubTest.sol";
import {Naive} from "./lib/Naive.sol";

contract HubQueueTest is HubTest {
    function setUp() public override {
        super.setUp();
        boot();
    }

    function test_forced_transaction_is_hashed_as_specified() public {
        vm.prank(alice);
        assertEq(queue.force(EVM, "a signed transaction"), 0, "index");
        uint64 came = uint64(time());
        Entry memory e = Entry(0, 2, EVM, alice, address(0), address(0), 0, "a signed transaction", came);
        assertEq(queue.hashAt(1), Naive.queue(0, Naive.entry(e)), "hash");
        assertEq(queue.timeAt(0), came, "time");
    }

    function test_times_are_kept_four_to_a_word() public {
        for (uint64 i = 0; i < 9; ++i) {
            queue.force(EVM, "x");
            vm.warp(time() + 7);
        }
        for (uint64 i = 0; i < 9; ++i) {
            assertEq(queue.timeAt(i), 1_800_000_000 + 7 * i, "time");
        }
    }

    function test_refusals() public {
        vm.expectRevert(IHubQueue.NoData.selector);
        queue.force(EVM, "");
        vm.expectRevert(abi.encodeWithSelector(IHubQueue.TooMuchData.selector, 32769, 32768));
        queue.force(EVM, new bytes(32769));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownEnvironment.selector, 7));
        queue.force(7, "x");
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownEnvironment.selector, 0));
        queue.force(ROUTER, "x");
        vm.expectRevert(abi.encodeWithSelector(IHubQueue.BeyondQueue.selector, 1, 0));
        queue.hashAt(1);
        vm.expectRevert(abi.encodeWithSelector(IHubQueue.BeyondQueue.selector, 0, 0));
        queue.timeAt(0);
        queue.force(EVM, new bytes(32768));
    }

    function test_deposit_sums_by_index(uint256 seed) public {
        uint256[8] memory sums;
        for (uint64 i = 0; i < 8; ++i) {
            uint256 amount = bound(uint256(keccak256(abi.encode(seed, i))), 1, 100) * 10;
            bool evm = amount % 20 == 0;
            deposit(alice, evm ? EVM : EXCHANGE, amount);
            sums[i] = evm ? amount : 0;
        }
        uint256 sum = 0;
        for (uint64 i = 0; i < 8; ++i) {
            assertEq(queue.depositsBefore(EVM, address(usdc), i), sum, "before");
            sum += sums[i];
        }
        assertEq(queue.deposits(EVM, address(usdc)), sum, "all");
    }
}
