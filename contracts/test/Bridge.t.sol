// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IAnchor} from "../src/interfaces/IAnchor.sol";
import {IBridge} from "../src/interfaces/IBridge.sol";
import {IHubQueue} from "../src/interfaces/IHubQueue.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import "../src/Types.sol";
import {HubTest} from "./lib/HubTest.sol";
import {Naive} from "./lib/Naive.sol";
import {Reenterer, Refuser} from "./mocks/Callers.sol";
import {FeeToken, MintableToken, RebasingToken, ReentrantToken} from "./mocks/Tokens.sol";

contract BridgeTest is HubTest {
    function setUp() public override {
        super.setUp();
        boot();
    }

    function _list(address token) private {
        vm.prank(owner);
        registry.setToken(EXCHANGE, token, 1);
    }

    function _claim(uint64 number, Withdrawal memory w) private {
        bytes32[32] memory proof = proofOf(w.index);
        armed();
        bridge.claim(number, w, proof);
    }

    /// @dev A settled withdrawal of 4 ether that Alice deposited.
    function _settled(address to) private returns (uint64 number, Withdrawal memory w) {
        depositETH(alice, EXCHANGE, 10 ether);
        w = withdraw(EXCHANGE, ETHER, to, 4 ether);
        number = settleNext();
    }

    // ---- deposits ----

    function test_deposits_reach_escrow_and_queue() public {
        assertEq(depositETH(alice, EXCHANGE, 3 ether), 0, "index");
        assertEq(deposit(bob, EVM, 500), 1, "index");
        assertEq(bridge.escrow(EXCHANGE, ETHER), 3 ether, "escrow");
        assertEq(bridge.escrow(EVM, address(usdc)), 500, "escrow");
        assertEq(address(bridge).balance, 3 ether, "balance");
        assertEq(usdc.balanceOf(address(bridge)), 500, "balance");
        Entry memory e = Entry(0, 1, EXCHANGE, alice, alice, ETHER, 3 ether, "", uint64(time()));
        bytes32 hash = Naive.queue(0, Naive.entry(e));
        assertEq(queue.hashAt(1), hash, "queue hash");
        e = Entry(1, 1, EVM, bob, bob, address(usdc), 500, "", uint64(time()));
        assertEq(queue.hashAt(2), Naive.queue(hash, Naive.entry(e)), "queue hash");
        assertEq(queue.depositsBefore(EVM, address(usdc), 1), 0, "before");
        assertEq(queue.depositsBefore(EVM, address(usdc), 2), 500, "before");
    }

    function test_deposit_to_unknown_environment() public {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownEnvironment.selector, 9));
        bridge.depositETH{value: 1 ether}(9, alice);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownEnvironment.selector, 0));
        bridge.depositETH{value: 1 ether}(ROUTER, alice);
    }

    function test_deposit_before_the_environment_is_live() public {
        vm.deal(owner, 1 ether);
        vm.prank(owner);
        registry.register{value: REGISTRATION_BOND}(registration("third", VmKind.Evm));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.EnvironmentNotLive.selector, 3));
        bridge.depositETH{value: 1 ether}(3, alice);
    }

    function test_deposit_to_paused_environment() public {
        vm.prank(guardian);
        bridge.pause(EXCHANGE);
        uint64 until = uint64(time() + MAX_PAUSE);
        vm.expectRevert(abi.encodeWithSelector(IBridge.EnvironmentPaused.selector, EXCHANGE, until));
        bridge.depositETH{value: 1 ether}(EXCHANGE, alice);
        bridge.depositETH{value: 1 ether}(EVM, alice);
        vm.warp(until);
        bridge.depositETH{value: 1 ether}(EXCHANGE, alice);
    }

    function test_deposit_of_unlisted_token() public {
        MintableToken token = new MintableToken();
        bytes memory reason = abi.encodeWithSelector(IRegistry.TokenNotListed.selector, EVM, address(token));
        vm.expectRevert(reason);
        bridge.deposit(EVM, address(token), alice, 5);
    }

    function test_deposit_of_part_of_a_unit() public {
        vm.expectRevert(abi.encodeWithSelector(IBridge.NotAMultiple.selector, 505, 10));
        vm.prank(alice);
        bridge.deposit(EVM, address(usdc), alice, 505);
    }

    function test_deposit_of_nothing_or_for_nobody() public {
        vm.expectRevert(IBridge.ZeroAmount.selector);
        bridge.depositETH(EVM, alice);
        vm.expectRevert(IBridge.ZeroAddress.selector);
        bridge.depositETH{value: 1 ether}(EVM, address(0));
        vm.expectRevert(abi.encodeWithSelector(IBridge.WrongValue.selector, 5, 0));
        bridge.deposit(EVM, ETHER, alice, 5);
    }

    function test_deposit_of_a_token_with_a_fee() public {
        FeeToken token = new FeeToken();
        _list(address(token));
        token.mint(address(this), 1000);
        token.approve(address(bridge), 1000);
        bytes memory reason = abi.encodeWithSelector(IBridge.TransferFeeToken.selector, address(token), 1000, 990);
        vm.expectRevert(reason);
        bridge.deposit(EXCHANGE, address(token), alice, 1000);
        vm.expectRevert(reason);
        bridge.fund(EXCHANGE, address(token), 1000);
    }

    function test_rebasing_token_stops_deposits_and_claims() public {
        RebasingToken token = new RebasingToken();
        _list(address(token));
        token.mint(address(this), 2000);
        token.approve(address(bridge), 2000);
        bridge.deposit(EXCHANGE, address(token), alice, 1000);
        Withdrawal memory w = withdraw(EXCHANGE, address(token), alice, 600);
        uint64 number = settleNext();
        token.shrink(address(bridge), 1);
        bytes memory reason =
            abi.encodeWithSelector(IBridge.BalanceBelowEscrow.selector, address(token), 1499, 1500);
        vm.expectRevert(reason);
        bridge.deposit(EXCHANGE, address(token), alice, 500);
        expect(abi.encodeWithSelector(IBridge.BalanceBelowEscrow.selector, address(token), 999, 1000));
        _claim(number, w);
        // Anyone may make up for it.
        token.transfer(address(bridge), 1);
        _claim(number, w);
        assertEq(token.balanceOf(alice), 600, "paid");
    }

    function test_reentrant_token() public {
        ReentrantToken token = new ReentrantToken(bridge);
        _list(address(token));
        token.mint(address(this), 1000);
        token.approve(address(bridge), 1000);
        token.arm(abi.encodeCall(IBridge.deposit, (EXCHANGE, address(token), alice, 1)));
        vm.expectRevert(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        bridge.deposit(EXCHANGE, address(token), alice, 1000);
    }

    function test_fund_adds_escrow_without_an_entry() public {
        bridge.fund{value: 2 ether}(EXCHANGE, ETHER, 2 ether);
        assertEq(bridge.escrow(EXCHANGE, ETHER), 2 ether, "escrow");
        assertEq(queue.length(), 0, "queue");
        vm.expectRevert(abi.encodeWithSelector(IBridge.WrongValue.selector, 2, 1));
        bridge.fund{value: 1}(EXCHANGE, ETHER, 2);
        vm.expectRevert(abi.encodeWithSelector(IBridge.WrongValue.selector, 0, 1));
        bridge.fund{value: 1}(EXCHANGE, address(usdc), 1);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownEnvironment.selector, 9));
        bridge.fund{value: 1}(9, ETHER, 1);
        vm.expectRevert(IBridge.ZeroAmount.selector);
        bridge.fund(EXCHANGE, ETHER, 0);
    }

    // ---- claims ----

    function test_claim_pays_once() public {
        (uint64 number, Withdrawal memory w) = _settled(bob);
        uint256 before = bob.balance;
        _claim(number, w);
        assertEq(bob.balance - before, 4 ether, "paid");
        assertEq(bridge.escrow(EXCHANGE, ETHER), 6 ether, "escrow");
        assertEq(bridge.claimed(EXCHANGE, ETHER), 4 ether, "claimed");
        expect(abi.encodeWithSelector(IBridge.AlreadyClaimed.selector, 0));
        _claim(number, w);
        // Nor against a later root, in which the leaf stands too.
        withdraw(EXCHANGE, ETHER, bob, 1 ether);
        number = settleNext();
        expect(abi.encodeWithSelector(IBridge.AlreadyClaimed.selector, 0));
        _claim(number, w);
    }

    function test_claim_of_a_token() public {
        deposit(alice, EVM, 1000);
        Withdrawal memory w = withdraw(EVM, address(usdc), carol, 700);
        uint64 number = settleNext();
        uint256 before = usdc.balanceOf(carol);
        _claim(number, w);
        assertEq(usdc.balanceOf(carol) - before, 700, "paid");
        assertEq(bridge.accounted(address(usdc)), 300, "accounted");
    }

    function test_claim_above_escrow() public {
        depositETH(alice, EXCHANGE, 1 ether);
        depositETH(alice, EVM, 100 ether);
        Withdrawal memory w = withdraw(EXCHANGE, ETHER, bob, 4 ether);
        uint64 number = settleNext();
        expect(abi.encodeWithSelector(IBridge.EscrowExceeded.selector, EXCHANGE, ETHER, 1 ether, 4 ether));
        _claim(number, w);
    }

    function test_claim_with_anything_changed() public {
        (uint64 number, Withdrawal memory w) = _settled(bob);
        bytes memory reason = abi.encodeWithSelector(IBridge.BadProof.selector, 0);
        bytes memory original = abi.encode(w);
        for (uint256 field = 0; field < 6; ++field) {
            w = abi.decode(original, (Withdrawal));
            if (field == 0) w.environment = EVM;
            if (field == 1) w.token = address(usdc);
            if (field == 2) w.amount = 5 ether;
            if (field == 3) w.to = alice;
            if (field == 4) w.from = bob;
            if (field == 5) {
                (w.index, reason) = (1, abi.encodeWithSelector(IBridge.NoSuchWithdrawal.selector, 1, 1));
            }
            bytes32[32] memory proof = proofOf(0);
            vm.expectRevert(reason);
            bridge.claim(number, w, proof);
        }
    }

    function test_claim_with_a_malleated_proof(uint256 level, uint256 bit) public {
        (uint64 number, Withdrawal memory w) = _settled(bob);
        bytes32[32] memory proof = proofOf(0);
        proof[level % 32] ^= bytes32(uint256(1) << (bit % 256));
        vm.expectRevert(abi.encodeWithSelector(IBridge.BadProof.selector, 0));
        bridge.claim(number, w, proof);
    }

    function test_claim_at_an_index_that_wraps_around_the_tree() public {
        (uint64 number, Withdrawal memory w) = _settled(bob);
        bytes32[32] memory proof = proofOf(0);
        w.index = 1 << 32;
        vm.expectRevert(abi.encodeWithSelector(IBridge.NoSuchWithdrawal.selector, w.index, 1));
        bridge.claim(number, w, proof);
    }

    function test_claim_from_an_environment_or_of_a_token_that_there_is_not() public {
        (uint64 number, Withdrawal memory w) = _settled(bob);
        bytes32[32] memory proof = proofOf(0);
        w.environment = 77;
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownEnvironment.selector, 77));
        bridge.claim(number, w, proof);
        w.environment = 0;
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownEnvironment.selector, 0));
        bridge.claim(number, w, proof);
        (w.environment, w.token) = (EXCHANGE, address(this));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.TokenNotListed.selector, EXCHANGE, address(this)));
        bridge.claim(number, w, proof);
    }

    function test_claim_against_an_unanchored_commitment() public {
        (, Withdrawal memory w) = _settled(bob);
        expect(abi.encodeWithSelector(IAnchor.Unanchored.selector, 3));
        _claim(3, w);
        expect(abi.encodeWithSelector(IAnchor.Unanchored.selector, 0));
        _claim(0, w);
    }

    function test_claim_against_an_unsettled_commitment() public {
        depositETH(alice, EXCHANGE, 10 ether);
        Withdrawal memory w = withdraw(EXCHANGE, ETHER, bob, 4 ether);
        uint64 number = next();
        expect(abi.encodeWithSelector(IAnchor.Unsettled.selector, number));
        _claim(number, w);
    }

    function test_claim_against_a_challenged_commitment_and_after_it() public {
        depositETH(alice, EXCHANGE, 10 ether);
        Withdrawal memory w = withdraw(EXCHANGE, ETHER, bob, 4 ether);
        uint64 number = next();
        next();
        challenge(number, 1, carol);
        expect(abi.encodeWithSelector(IAnchor.CommitmentFrozen.selector, number, number));
        _claim(number, w);
        expect(abi.encodeWithSelector(IAnchor.CommitmentFrozen.selector, number + 1, number));
        _claim(number + 1, w);
    }

    function test_claim_against_a_rejected_commitment() public {
        depositETH(alice, EXCHANGE, 10 ether);
        Withdrawal memory w = withdraw(EXCHANGE, ETHER, bob, 4 ether);
        uint64 number = next();
        challenge(number, 1, carol);
        vm.prank(timelock);
        anchor.resolve(number, false);
        expect(abi.encodeWithSelector(IAnchor.CommitmentRejected.selector, number));
        _claim(number, w);
    }

    function test_claim_from_a_paused_environment() public {
        (uint64 number, Withdrawal memory w) = _settled(bob);
        vm.prank(guardian);
        bridge.pause(EXCHANGE);
        uint64 until = bridge.pausedUntil(EXCHANGE);
        expect(abi.encodeWithSelector(IBridge.EnvironmentPaused.selector, EXCHANGE, until));
        _claim(number, w);
        vm.prank(timelock);
        bridge.unpause(EXCHANGE);
        _claim(number, w);
    }

    function test_claim_above_the_rate_limit() public {
        depositETH(alice, EXCHANGE, 10 ether);
        Withdrawal memory first = withdraw(EXCHANGE, ETHER, bob, 4 ether);
        Withdrawal memory second = withdraw(EXCHANGE, ETHER, bob, 2 ether);
        uint64 number = settleNext();
        vm.prank(timelock);
        bridge.setRateLimit(ETHER, 5 ether, 0.001 ether);
        _claim(number, first);
        expect(abi.encodeWithSelector(IBridge.RateLimited.selector, ETHER, 1 ether, 2 ether));
        _claim(number, second);
        vm.warp(time() + 1000);
        _claim(number, second);
        vm.prank(timelock);
        bridge.setRateLimit(ETHER, 0, 0);
    }

    function test_claim_to_a_receiver_that_refuses() public {
        (uint64 number, Withdrawal memory w) = _settled(address(new Refuser()));
        expect(abi.encodeWithSelector(IBridge.PaymentFailed.selector, w.to, 4 ether));
        _claim(number, w);
        assertTrue(!bridge.isClaimed(0), "not claimed");
    }

    function test_claim_by_a_receiver_that_calls_again() public {
        depositETH(alice, EXCHANGE, 10 ether);
        // What it will call must be known before its address is; the leaf names the address.
        address expected = address(0xbad);
        Withdrawal memory w = withdraw(EXCHANGE, ETHER, expected, 4 ether);
        uint64 number = settleNext();
        bytes memory again = abi.encodeCall(IBridge.claim, (number, w, proofOf(0)));
        Reenterer made = new Reenterer(address(bridge), again);
        vm.etch(expected, address(made).code);
        // Copy its storage: `_again`, a long byte string.
        vm.store(expected, 0, vm.load(address(made), 0));
        for (uint256 i = 0; i < again.length / 32 + 1; ++i) {
            bytes32 slot = bytes32(uint256(keccak256(abi.encode(0))) + i);
            vm.store(expected, slot, vm.load(address(made), slot));
        }
        _claim(number, w);
        Reenterer attacker = Reenterer(payable(expected));
        assertTrue(!attacker.succeeded(), "the second claim failed");
        bytes4 reason = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
        assertEq(bytes32(bytes4(attacker.answer())), bytes32(reason), "reason");
        assertEq(expected.balance, 4 ether, "paid once");
    }

    // ---- brakes and roles ----

    function test_pause_ends_and_cools_down() public {
        vm.expectRevert(abi.encodeWithSelector(IBridge.NotGuardian.selector, address(this)));
        bridge.pause(EXCHANGE);
        vm.startPrank(guardian);
        bridge.pause(EXCHANGE);
        uint64 until = bridge.pausedUntil(EXCHANGE);
        vm.expectRevert(abi.encodeWithSelector(IBridge.AlreadyPaused.selector, EXCHANGE, until));
        bridge.pause(EXCHANGE);
        vm.warp(until);
        uint64 from = until + COOLDOWN;
        vm.expectRevert(abi.encodeWithSelector(IBridge.PauseCoolingDown.selector, EXCHANGE, from));
        bridge.pause(EXCHANGE);
        vm.expectRevert(abi.encodeWithSelector(IBridge.NotPaused.selector, EXCHANGE));
        bridge.unpause(EXCHANGE);
        vm.warp(from);
        bridge.pause(EXCHANGE);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IBridge.NotGuardian.selector, address(this)));
        bridge.unpause(EXCHANGE);
    }

    function test_roles() public {
        NetTransfer[] memory none = new NetTransfer[](0);
        bytes memory notAnchor = abi.encodeWithSelector(IBridge.NotAnchor.selector, address(this));
        vm.expectRevert(notAnchor);
        bridge.applyDebits(none);
        vm.expectRevert(notAnchor);
        bridge.applyCredits(none);
        vm.expectRevert(notAnchor);
        bridge.undoDebits(none);
        vm.expectRevert(abi.encodeWithSelector(IBridge.NotHatch.selector, address(this)));
        bridge.release(EXCHANGE, ETHER, alice, 1);
        bytes memory notTimelock = abi.encodeWithSelector(IBridge.NotTimelock.selector, address(this));
        vm.expectRevert(notTimelock);
        bridge.setGuardian(alice);
        vm.expectRevert(notTimelock);
        bridge.setRateLimit(ETHER, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(IHubQueue.NotBridge.selector, address(this)));
        queue.pushDeposit(EXCHANGE, alice, alice, ETHER, 1);
        vm.expectRevert(abi.encodeWithSelector(IHubQueue.NotAnchor.selector, address(this)));
        queue.close();
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotAnchor.selector, address(this)));
        registry.setLive(EXCHANGE, false);
        vm.expectRevert(abi.encodeWithSelector(IAnchor.NotHatch.selector, address(this)));
        anchor.close();
    }
}
