// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IExchange, EXCHANGE} from "../src/environment/IExchange.sol";
import {ExchangeVault} from "../src/examples/ExchangeVault.sol";
import {ExchangeTest} from "./lib/ExchangeTest.sol";

/// @notice The example vault against an exchange that answers slots later, and those who attack it.
contract ExchangeVaultTest is ExchangeTest {
    uint256 private constant USD = 10 ** 6;
    uint256 private constant SHARE = 10 ** 12;
    ExchangeVault private vault;
    address private manager = address(0x3a);
    address private alice = address(0xa11ce);
    address private bob = address(0xb0b);

    function setUp() public {
        boot();
        mint(alice, 1_000_000 * USD);
        mint(bob, 1_000_000 * USD);
        string memory json = vm.readFile("artifacts/ExchangeVault.json");
        bytes memory arguments = abi.encode("Example", "EX", USDC, manager, uint32(0), uint64(10 ** 8));
        bytes memory code = bytes.concat(vm.parseJsonBytes(json, ".bytecode"), arguments);
        address deployed;
        assembly {
            deployed := create(0, add(code, 0x20), mload(code))
        }
        vault = ExchangeVault(deployed);
        account = EXCHANGE.accountOf(deployed);
        showMark();
    }

    function _owner() internal view override returns (address) {
        return address(vault);
    }

    function _request(address who, uint256 assets) private {
        vm.startPrank(who);
        token().approve(address(vault), assets);
        vault.requestDeposit(assets);
        vm.stopPrank();
    }

    function _deposit(address who, uint256 assets) private returns (uint256) {
        _request(who, assets);
        go(2 * delay);
        return vault.settleDeposit(who);
    }

    function _redeem(address who, uint256 shares) private {
        vm.prank(who);
        vault.requestRedemption(shares);
    }

    function _near(uint256 left, uint256 right, string memory what) private pure {
        assertTrue(left <= right && right - left <= 1, what);
    }

    /// Shares that nobody owns and rounding make less of a difference than one unit of the token.
    function _nearShares(uint256 shares, uint256 expected, string memory what) private pure {
        uint256 difference = shares < expected ? expected - shares : shares - expected;
        assertTrue(difference <= SHARE / USD, what);
    }

    function test_life_cycle() public {
        assertEq(vault.decimals(), 12, "decimals");
        assertEq(_deposit(alice, 1_000 * USD), 1_000 * SHARE, "the first");
        vm.prank(manager);
        vault.toExchange(uint128(800 * USD));
        assertEq(vault.cash(), 200 * USD, "cash");
        go(30);
        assertTrue(value == int256(800 * USD), "there");
        vm.prank(manager);
        vault.order(true, uint64(mark), 10 ** 7, false, IExchange.Tif.GoodTillCancelled);
        go(delay);
        bytes memory order = abi.encode(uint32(0), true, uint64(mark), uint64(10 ** 7), false, uint8(2), uint128(1));
        assertEq(keccak256(ordered[0]), keccak256(bytes.concat(hex"01000001", order)), "order");
        vm.prank(manager);
        vault.cancel(1);
        go(delay);
        bytes memory cancelled = bytes.concat(hex"0100000b", abi.encode(uint32(0), uint128(1)));
        assertEq(keccak256(ordered[1]), keccak256(cancelled), "cancelled");
        // It gains a fifth; then somebody joins, and half of the first leaves.
        value = int256(1_000 * USD);
        uint256 shares = _deposit(bob, 120 * USD);
        _nearShares(shares, 100 * SHARE, "at the new price");
        _redeem(alice, 500 * SHARE);
        go(2 * delay);
        vm.expectRevert(abi.encodeWithSelector(ExchangeVault.NotEnoughCash.selector, 600 * USD - 1, 320 * USD));
        vault.settleRedemption(alice);
        go(600);
        vm.prank(manager);
        vault.fromExchange(uint128(400 * USD));
        go(30);
        vault.observe();
        go(2 * delay);
        uint256 before = token().balanceOf(alice);
        vault.settleRedemption(alice);
        _near(token().balanceOf(alice) - before, 600 * USD, "paid");
        assertEq(vault.totalSupply(), 500 * SHARE + shares, "burned");
        _redeem(alice, 500 * SHARE);
        _redeem(bob, shares);
        go(600);
        vm.prank(manager);
        vault.fromExchange(uint128(600 * USD));
        go(30);
        vault.observe();
        go(2 * delay);
        vault.settleRedemption(bob);
        vault.settleRedemption(alice);
        assertEq(vault.totalSupply(), 0, "all gone");
        assertTrue(token().balanceOf(address(vault)) <= 3, "but for what was rounded");
    }

    /// Probes a price in every slot, with an observation from every slot.
    function _probe(uint256 slots, uint256 expected) private returns (uint256 priced) {
        for (uint256 i = 0; i < slots; ++i) {
            vault.observe();
            go(1);
            uint256 snapshot = vm.snapshotState();
            (bool success, bytes memory output) =
                address(vault).call(abi.encodeCall(vault.settleDeposit, (bob)));
            if (success) _nearShares(abi.decode(output, (uint256)), expected, "counted twice, or not at all");
            vm.revertToState(snapshot);
            if (success) ++priced;
        }
    }

    function _moves() private {
        _deposit(alice, 1_000 * USD);
        _request(bob, 100 * USD);
        go(10);
        assertEq(_probe(10, 100 * SHARE), 10, "at rest there is a price");
        vm.prank(manager);
        vault.toExchange(uint128(600 * USD));
        uint256 priced = _probe(40, 100 * SHARE);
        assertTrue(priced >= 40 - 5 * delay && priced < 40, "soon at rest again");
        go(600);
        vm.prank(manager);
        vault.fromExchange(uint128(250 * USD));
        priced = _probe(40, 100 * SHARE);
        assertTrue(priced >= 40 - 5 * delay && priced < 40, "and again");
        go(600);
        // More than there is.
        vm.prank(manager);
        vault.fromExchange(uint128(900 * USD));
        assertTrue(_probe(40, 100 * SHARE) > 0, "refused");
    }

    function test_money_under_way_never_counts_twice_or_not_at_all() public {
        _moves();
        assertTrue(value == int256(350 * USD), "moved");
    }

    function test_nor_does_money_that_comes_back() public {
        bounces = true;
        _deposit(alice, 1_000 * USD);
        value = int256(300 * USD);
        uint256 worth = vault.totalSupply();
        _request(bob, 100 * USD);
        go(10);
        uint256 snapshot = vm.snapshotState();
        uint256 expected = vault.settleDeposit(bob);
        vm.revertToState(snapshot);
        vm.prank(manager);
        vault.toExchange(uint128(600 * USD));
        assertTrue(_probe(40, expected) > 10, "came back here");
        go(600);
        bounces = true;
        vm.prank(manager);
        vault.fromExchange(uint128(250 * USD));
        for (uint256 i = 0; i < delay; ++i) _probe(1, expected);
        assertTrue(value == int256(50 * USD), "under way");
        bounces = false;
        assertTrue(_probe(40, expected) > 10, "came back there");
        assertTrue(value == int256(300 * USD) && vault.totalSupply() == worth, "nothing moved");
    }

    function test_any_delay_is_learned() public {
        for (uint256 i = 1; i < 6; i += 3) {
            uint256 snapshot = vm.snapshotState();
            delay = i;
            _moves();
            vm.revertToState(snapshot);
        }
    }

    function test_a_donation_does_not_take_the_first_deposit() public {
        // One unit of shares, then a donation that makes the victim's shares round, on either side.
        for (uint256 i = 0; i < 2; ++i) {
            uint256 snapshot = vm.snapshotState();
            uint256 before = token().balanceOf(bob);
            uint256 mine = _deposit(bob, 1);
            _request(alice, 1_000 * USD);
            uint256 donation = 10_000 * USD;
            vm.startPrank(bob);
            if (i == 0) token().transfer(address(vault), donation);
            else BRIDGE.send(THERE, USDC, account, donation);
            vm.stopPrank();
            go(10);
            vault.observe();
            go(2 * delay);
            uint256 hers = vault.settleDeposit(alice);
            if (i == 1) {
                vm.prank(manager);
                vault.fromExchange(uint128(donation));
            }
            _redeem(bob, mine);
            _redeem(alice, hers);
            go(30);
            vault.observe();
            go(2 * delay);
            uint256 hersAgain = vault.settleRedemption(alice);
            vault.settleRedemption(bob);
            uint256 lost = 1_000 * USD - hersAgain;
            assertTrue(lost <= USD, "a victim loses next to nothing");
            assertTrue(before - token().balanceOf(bob) > 1_000 * lost, "and the attacker much more");
            vm.revertToState(snapshot);
        }
    }

    function test_who_knows_the_price_before_the_vault_gains_nothing() public {
        _deposit(alice, 1_000 * USD);
        vm.prank(manager);
        vault.toExchange(uint128(900 * USD));
        go(600);
        vault.observe();
        go(2 * delay);
        // The observation here says 900; the exchange says 1800 already.
        value = int256(1_800 * USD);
        _request(bob, 190 * USD);
        vm.expectRevert(abi.encodeWithSelector(ExchangeVault.ObservedBefore.selector, slot, slot - delay));
        vault.settleDeposit(bob);
        go(1);
        vm.expectRevert();
        vault.settleDeposit(bob);
        go(2 * delay - 1);
        _nearShares(vault.settleDeposit(bob), 100 * SHARE, "at the price after the move");
        // And who wants out before a fall is known here.
        value = int256(900 * USD);
        _redeem(bob, 100 * SHARE);
        vm.expectRevert();
        vault.settleRedemption(bob);
        go(2 * delay);
        // 1190 / 1100 a share; 1290 and 290 in cash were it by the price that bob would like.
        uint256 paid = vault.settleRedemption(bob);
        assertTrue(paid <= 1_190 * USD / 11 && paid + 2 >= 1_190 * USD / 11, "at the price after the fall");
    }

    function test_an_old_observation_prices_nothing() public {
        _request(alice, 1_000 * USD);
        go(2 * delay + 110);
        vm.expectRevert(abi.encodeWithSelector(ExchangeVault.ObservationTooOld.selector, START + 10));
        vault.settleDeposit(alice);
        vault.observe();
        go(2 * delay);
        vault.settleDeposit(alice);
        vm.expectRevert(ExchangeVault.NothingRequested.selector);
        vault.settleDeposit(alice);
    }

    function test_the_manager_alone_and_within_bounds() public {
        _deposit(alice, 1_000 * USD);
        bytes[4] memory calls = [
            abi.encodeCall(vault.toExchange, (1)),
            abi.encodeCall(vault.fromExchange, (1)),
            abi.encodeCall(vault.order, (true, uint64(mark), 1, false, IExchange.Tif.ImmediateOrCancel)),
            abi.encodeCall(vault.cancel, (1))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(alice);
            (bool success, bytes memory output) = address(vault).call(calls[i]);
            assertTrue(!success && bytes4(output) == ExchangeVault.NotManager.selector, "manager only");
        }
        _request(bob, 500 * USD);
        vm.startPrank(manager);
        // What is not priced yet is not the vault's.
        vm.expectRevert(abi.encodeWithSelector(ExchangeVault.NotEnoughCash.selector, 1_001 * USD, 1_000 * USD));
        vault.toExchange(uint128(1_001 * USD));
        vault.toExchange(uint128(1_000 * USD));
        vm.expectRevert(abi.encodeWithSelector(ExchangeVault.StillEarly.selector, START + slot / 10 + 60));
        vault.fromExchange(1);
        vm.expectRevert(abi.encodeWithSelector(ExchangeVault.OrderTooLarge.selector, 10 ** 8, 10 ** 8 + 1));
        vault.order(true, uint64(mark), 10 ** 8 + 1, false, IExchange.Tif.GoodTillCancelled);
        uint256 high = mark + mark / 100;
        vm.expectRevert(abi.encodeWithSelector(ExchangeVault.PriceOutsideBand.selector, mark, high + 1));
        vault.order(true, uint64(high + 1), 1, false, IExchange.Tif.GoodTillCancelled);
        vault.order(true, uint64(high), 1, false, IExchange.Tif.GoodTillCancelled);
        uint256 low = mark - mark / 100;
        vm.expectRevert(abi.encodeWithSelector(ExchangeVault.PriceOutsideBand.selector, mark, low - 1));
        vault.order(false, uint64(low - 1), 1, false, IExchange.Tif.GoodTillCancelled);
        vault.order(false, uint64(low), 10 ** 8, false, IExchange.Tif.GoodTillCancelled);
        vm.stopPrank();
        vm.warp(time() + 20);
        vm.prank(manager);
        vm.expectRevert();
        vault.order(false, uint64(mark), 1, false, IExchange.Tif.GoodTillCancelled);
    }

    function test_a_manager_who_does_not_pay_is_recalled() public {
        _deposit(alice, 1_000 * USD);
        vm.prank(manager);
        vault.toExchange(uint128(1_000 * USD));
        go(600);
        tied = 950 * USD;
        _redeem(alice, 500 * SHARE);
        vm.expectRevert();
        vault.recall(alice);
        vm.expectRevert(ExchangeVault.NotRecalled.selector);
        vault.bringBack();
        // A day later.
        slot += 10 * 86_400 + 10;
        go(1);
        vault.recall(alice);
        vault.observe();
        go(2 * delay);
        vm.startPrank(manager);
        vm.expectRevert(ExchangeVault.Recalled.selector);
        vault.order(true, uint64(mark), 1, false, IExchange.Tif.GoodTillCancelled);
        vm.expectRevert(ExchangeVault.Recalled.selector);
        vault.toExchange(0);
        vm.expectRevert(ExchangeVault.Recalled.selector);
        vault.fromExchange(0);
        vm.stopPrank();
        // Anyone closes, at no worse price than the manager could.
        uint256 orders = ordered.length;
        vault.cancel(1);
        vm.expectRevert();
        vault.close(false, uint64(mark / 2), 10 ** 6);
        vault.close(false, uint64(mark), 10 ** 6);
        go(delay);
        bytes memory order = abi.encode(uint32(0), false, uint64(mark), uint64(10 ** 6), true, uint8(3), uint128(1));
        assertEq(keccak256(ordered[orders + 1]), keccak256(bytes.concat(hex"01000001", order)), "reduces only");
        tied = 100 * USD;
        vault.observe();
        go(2 * delay);
        vm.expectRevert(ExchangeVault.NotNeeded.selector);
        vault.close(false, uint64(mark), 10 ** 6);
        vault.bringBack();
        go(30);
        assertEq(vault.cash(), 505 * USD, "what is needed, and a little more");
        vault.observe();
        go(2 * delay);
        vm.expectRevert(ExchangeVault.NotNeeded.selector);
        vault.bringBack();
        vault.settleRedemption(alice);
        assertTrue(!vault.recalling(), "over");
        vm.prank(manager);
        vault.order(true, uint64(mark), 1, false, IExchange.Tif.GoodTillCancelled);
    }

    function test_who_is_not_settled_gets_everything_back() public {
        uint256 shares = _deposit(alice, 1_000 * USD);
        _request(bob, 5 * USD);
        _redeem(alice, shares);
        vm.prank(bob);
        vm.expectRevert();
        vault.cancelDeposit();
        slot += 10 * 86_400 + 10;
        go(1);
        vm.prank(bob);
        vault.cancelDeposit();
        assertEq(token().balanceOf(bob), 1_000_000 * USD, "all of it");
        assertEq(vault.pendingDeposits(), 0, "no longer pending");
        vm.prank(alice);
        vault.cancelRedemption();
        assertEq(vault.balanceOf(alice), shares, "shares");
        vm.prank(alice);
        vm.expectRevert(ExchangeVault.NothingRequested.selector);
        vault.cancelRedemption();
    }

    function test_nobody_joins_for_a_recovery_alone() public {
        _deposit(alice, 1_000 * USD);
        vm.prank(manager);
        vault.toExchange(uint128(900 * USD));
        go(30);
        value = -1;
        _request(bob, 1_000 * USD);
        go(2 * delay);
        vm.expectRevert(ExchangeVault.NothingToShare.selector);
        vault.settleDeposit(bob);
        // What is here is the holders'.
        _redeem(alice, 1_000 * SHARE);
        go(2 * delay);
        _near(vault.settleRedemption(alice), 100 * USD, "cash");
    }

    /// Whatever is done, in any order: all that is paid out and all that is left is what was paid in,
    /// and no deposit followed by a redemption gains.
    function testFuzz_in_and_out_gains_nothing(uint96 first, uint96 second, int64 gain) public {
        uint256 one = bound(first, 1, 1_000_000 * USD);
        uint256 two = bound(second, 1, 1_000_000 * USD);
        _deposit(alice, one);
        value = int256(bound(uint256(uint64(gain)), 0, 2_000_000 * USD));
        _request(bob, two);
        go(2 * delay);
        (bool success, bytes memory output) = address(vault).call(abi.encodeCall(vault.settleDeposit, (bob)));
        if (!success) {
            assertEq(bytes32(output), bytes32(ExchangeVault.ZeroShares.selector), "worth less than a share");
            return;
        }
        _redeem(bob, abi.decode(output, (uint256)));
        go(2 * delay);
        assertTrue(vault.settleRedemption(bob) <= two, "gained");
    }
}
