// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IAnchor} from "../src/interfaces/IAnchor.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import "../src/Types.sol";
import {HubTest} from "./lib/HubTest.sol";
import {Naive} from "./lib/Naive.sol";
import {Refuser, VerifierMock} from "./mocks/Callers.sol";

contract DisputesTest is HubTest {
    address private sequencer = vm.addr(SEQUENCER_KEY);

    function setUp() public override {
        super.setUp();
        boot();
        bridge.fund{value: 10 ether}(EXCHANGE, ETHER, 10 ether);
    }

    function _reject(uint64 number) private {
        vm.prank(timelock);
        anchor.resolve(number, false);
    }

    function _uphold(uint64 number) private {
        vm.prank(timelock);
        anchor.resolve(number, true);
    }

    function _moving(int256 amount) private returns (uint64) {
        Draft memory d = draft();
        transfer(d, EXCHANGE, EVM, ETHER, amount);
        post(d);
        return d.c.number;
    }

    function test_what_can_be_challenged() public {
        Statement memory s = posted(1).s[1];
        bytes32[] memory path = statementPath(1, 1);
        vm.startPrank(carol);
        vm.expectRevert(abi.encodeWithSelector(IAnchor.WrongBond.selector, CHALLENGE_BOND, 5));
        anchor.challenge{value: 5}(1, s, 1, path, "");
        vm.expectRevert(abi.encodeWithSelector(IAnchor.StatementNotInCommitment.selector, 1));
        anchor.challenge{value: CHALLENGE_BOND}(1, s, 2, path, "");
        s.postRoot = 0;
        vm.expectRevert(abi.encodeWithSelector(IAnchor.StatementNotInCommitment.selector, 1));
        anchor.challenge{value: CHALLENGE_BOND}(1, s, 1, path, "");
        vm.expectRevert(abi.encodeWithSelector(IAnchor.Unanchored.selector, 2));
        anchor.challenge{value: CHALLENGE_BOND}(2, s, 1, path, "");
        vm.stopPrank();
        challenge(1, 1, carol);
        expect(abi.encodeWithSelector(IAnchor.AlreadyChallenged.selector, 1));
        challenge(1, 2, carol);
        assertTrue(anchor.statusOf(1) == Status.Challenged, "challenged");
    }

    function test_after_the_window_it_is_too_late() public {
        vm.warp(time() + WINDOW);
        expect(abi.encodeWithSelector(IAnchor.WindowOver.selector, 1));
        challenge(1, 1, carol);
        settle(1);
        expect(abi.encodeWithSelector(IAnchor.WindowOver.selector, 1));
        challenge(1, 1, carol);
    }

    function test_frozen_until_resolved() public {
        next();
        challenge(2, 0, carol);
        vm.warp(time() + WINDOW);
        settle(1);
        expect(abi.encodeWithSelector(IAnchor.CommitmentFrozen.selector, 2, 2));
        settle(2);
        vm.expectRevert(abi.encodeWithSelector(IAnchor.NotTimelock.selector, address(this)));
        anchor.resolve(2, true);
        vm.expectRevert(abi.encodeWithSelector(IAnchor.FreezeNotOver.selector, time() - WINDOW + MAX_FREEZE));
        anchor.expireFreeze(2);
    }

    function test_upheld_windows_begin_anew_and_the_bond_goes_to_the_sequencer() public {
        next();
        next();
        challenge(2, 0, carol);
        vm.warp(time() + 3 days);
        _uphold(2);
        assertEq(anchor.record(2).countedFrom, time(), "began anew");
        assertEq(anchor.record(3).countedFrom, time(), "after it too");
        settle(1);
        expect(abi.encodeWithSelector(IAnchor.WindowOpen.selector, 2, time() + WINDOW));
        settle(2);
        vm.warp(time() + WINDOW);
        settle(2);
        settle(3);
        vm.expectRevert(abi.encodeWithSelector(IAnchor.NothingOwed.selector, carol));
        vm.prank(carol);
        anchor.withdrawOwed(payable(carol));
        uint256 before = bob.balance;
        vm.prank(sequencer);
        anchor.withdrawOwed(payable(bob));
        assertEq(bob.balance - before, CHALLENGE_BOND, "bond");
    }

    function test_bond_to_a_receiver_that_refuses() public {
        challenge(1, 0, carol);
        _uphold(1);
        address refuser = address(new Refuser());
        vm.startPrank(sequencer);
        vm.expectRevert(abi.encodeWithSelector(IAnchor.PaymentFailed.selector, refuser, CHALLENGE_BOND));
        anchor.withdrawOwed(payable(refuser));
        vm.expectRevert(IAnchor.ZeroAddress.selector);
        anchor.withdrawOwed(payable(address(0)));
        vm.stopPrank();
    }

    function test_rejection_takes_back_what_was_done() public {
        uint64 first = _moving(3 ether);
        depositETH(alice, EXCHANGE, 1 ether);
        withdraw(EXCHANGE, ETHER, alice, 1 ether);
        next();
        uint64 third = _moving(4 ether);
        assertEq(bridge.escrow(EXCHANGE, ETHER), 4 ether, "escrow");
        challenge(first, 1, carol);
        challenge(third, 1, bob);
        _reject(first);
        assertTrue(anchor.statusOf(first) == Status.Rejected, "rejected");
        // Its transfers are not in the call: they are asked for.
        assertEq(anchor.unwindFrom(), first, "to unwind");
        expect(abi.encodeWithSelector(IAnchor.UnwindPending.selector, first));
        post(draft());
        NetTransfer[][] memory lists = new NetTransfer[][](2);
        lists[0] = posted(first).t;
        vm.expectRevert(abi.encodeWithSelector(IAnchor.TransfersMismatch.selector, Naive.transfers(posted(third).t)));
        anchor.unwind(lists);
        // In two steps.
        NetTransfer[][] memory one = new NetTransfer[][](1);
        one[0] = posted(third).t;
        anchor.unwind(one);
        assertEq(anchor.last(), first, "one left");
        one[0] = posted(first).t;
        anchor.unwind(one);
        vm.expectRevert(IAnchor.NothingToUnwind.selector);
        anchor.unwind(one);
        assertEq(anchor.last(), first - 1, "last");
        assertEq(bridge.escrow(EXCHANGE, ETHER), 11 ether, "escrow is back");
        assertEq(bridge.pendingCredits(ETHER), 0, "nothing pending");
        // Both challengers have their bond back.
        vm.prank(carol);
        anchor.withdrawOwed(payable(carol));
        vm.prank(bob);
        anchor.withdrawOwed(payable(bob));
        assertEq(address(anchor).balance, 0, "bonds");
        // The same numbers again, with the same pre roots, cursor and withdrawals as before.
        delete leaves;
        uint64 again = next();
        assertEq(again, first, "number");
        assertEq(anchor.record(again).cursor, 1, "cursor");
        vm.expectRevert(abi.encodeWithSelector(IAnchor.NotChallenged.selector, again));
        vm.prank(timelock);
        anchor.resolve(again, false);
    }

    function test_rejection_of_who_became_live() public {
        registry.register{value: REGISTRATION_BOND}(registration("third", VmKind.Evm));
        environments.push(3);
        Draft memory d = draft();
        d.s[3].preRoot = keccak256("third");
        post(d);
        registry.requireLive(3);
        challenge(2, 3, carol);
        _reject(2);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.EnvironmentNotLive.selector, 3));
        registry.requireLive(3);
        environments.pop();
        next();
        // And again from its genesis.
        environments.push(3);
        d = draft();
        d.s[3].preRoot = keccak256("third");
        post(d);
    }

    function test_earlier_challenge_outlives_the_rejection_of_a_later_commitment() public {
        next();
        next();
        challenge(3, 0, carol);
        challenge(2, 0, bob);
        _reject(3);
        assertEq(anchor.last(), 2, "last");
        assertTrue(anchor.statusOf(2) == Status.Challenged, "still challenged");
        vm.warp(time() + 10 days);
        assertEq(anchor.silentFor(), 0, "frozen");
        _uphold(2);
        vm.warp(time() + 1 days);
        assertEq(anchor.silentFor(), 1 days, "not frozen");
    }

    function test_what_was_shown_to_be_wrong_is_not_accepted_again() public {
        Draft memory d = draft();
        seal(d);
        bytes32 hash = hashOf(d);
        post(d);
        challenge(2, 1, carol);
        _reject(2);
        expect(abi.encodeWithSelector(IAnchor.Condemned.selector, hash));
        post(d);
        d.s[1].postRoot = keccak256("the truth");
        post(d);
    }

    function test_what_was_left_undecided_may_come_again() public {
        Draft memory d = draft();
        post(d);
        challenge(2, 1, carol);
        vm.warp(time() + MAX_FREEZE);
        anchor.expireFreeze(2);
        post(d);
    }

    function test_freeze_ends_though_a_void_commitment_was_challenged() public {
        next();
        uint64 third = _moving(1 ether);
        uint64 fourth = next();
        challenge(2, 0, carol);
        challenge(third, 0, bob);
        challenge(fourth, 0, bob);
        _reject(third);
        assertEq(anchor.unwindFrom(), third, "awaits its transfers");
        _uphold(2);
        NetTransfer[][] memory lists = new NetTransfer[][](1);
        lists[0] = posted(third).t;
        anchor.unwind(lists);
        vm.warp(time() + 1 days);
        assertEq(anchor.silentFor(), 1 days, "not frozen any more");
    }

    function test_later_challenge_outlives_the_upholding_of_an_earlier_commitment() public {
        next();
        challenge(1, 0, carol);
        challenge(2, 0, bob);
        _uphold(1);
        vm.warp(time() + WINDOW);
        settle(1);
        expect(abi.encodeWithSelector(IAnchor.CommitmentFrozen.selector, 2, 2));
        settle(2);
        assertEq(anchor.silentFor(), 0, "frozen");
    }

    function test_undecided_is_rejected_and_every_bond_returns() public {
        challenge(1, 0, carol);
        vm.warp(time() + MAX_FREEZE);
        anchor.expireFreeze(1);
        assertEq(anchor.last(), 0, "rejected");
        assertEq(anchor.silentFor(), 0, "the sequencer has time to do better");
        uint256 before = carol.balance;
        vm.prank(carol);
        anchor.withdrawOwed(payable(carol));
        assertEq(carol.balance - before, CHALLENGE_BOND, "bond");
        vm.expectRevert(abi.encodeWithSelector(IAnchor.NotChallenged.selector, 1));
        anchor.expireFreeze(1);
    }

    // ---- proofs ----

    function _withVerifier() private returns (uint64 number) {
        Registration memory r = registration("proven", VmKind.Other);
        r.version.policy.verifier = address(new VerifierMock());
        registry.register{value: REGISTRATION_BOND}(r);
        environments.push(3);
        Draft memory d = draft();
        d.s[3].preRoot = keccak256("proven");
        post(d);
        challenge(2, 3, carol);
        return 2;
    }

    function test_nothing_is_resolved_without_a_verifier() public {
        challenge(1, 1, carol);
        Statement memory s = posted(1).s[1];
        vm.expectRevert(abi.encodeWithSelector(IAnchor.NoVerifier.selector, 1));
        anchor.resolveWithProof(1, s, s, "yes");
    }

    function test_proof_of_the_statement_upholds() public {
        uint64 number = _withVerifier();
        Statement memory s = posted(number).s[3];
        vm.expectRevert(abi.encodeWithSelector(IAnchor.ProofRefused.selector, anchor.statementHash(number, s)));
        anchor.resolveWithProof(number, s, s, "no");
        Statement memory other = posted(number).s[1];
        bytes32 right = anchor.statementHash(number, s);
        vm.expectRevert(abi.encodeWithSelector(IAnchor.NotTheChallengedStatement.selector, right));
        anchor.resolveWithProof(number, other, s, "yes");
        anchor.resolveWithProof(number, s, s, "yes");
        assertTrue(anchor.statusOf(number) == Status.Anchored, "stands");
    }

    function test_proof_of_another_outcome_rejects() public {
        uint64 number = _withVerifier();
        Statement memory s = posted(number).s[3];
        Statement memory truth = posted(number).s[3];
        truth.postRoot = keccak256("the truth");
        truth.batch = keccak256("another batch");
        vm.expectRevert(IAnchor.OtherInputs.selector);
        anchor.resolveWithProof(number, s, truth, "yes");
        truth.batch = s.batch;
        anchor.resolveWithProof(number, s, truth, "yes");
        assertTrue(anchor.statusOf(number) == Status.Rejected, "rejected");
    }

    // ---- silence ----

    function test_derived_only_after_silence_and_with_a_bond() public {
        vm.warp(time() + SILENCE - 1);
        expect(abi.encodeWithSelector(IAnchor.NotSilent.selector, SILENCE - 1, SILENCE));
        postDerived(draft(), DERIVED_BOND);
        vm.warp(time() + 1);
        expect(abi.encodeWithSelector(IAnchor.WrongBond.selector, DERIVED_BOND, 1));
        postDerived(draft(), 1);
        Draft memory d = draft();
        d.c.data = 0;
        postDerived(d, DERIVED_BOND);
        assertTrue(anchor.record(2).derived, "derived");
        // With data, availability must be shown.
        d = draft();
        seal(d);
        expect(abi.encodeWithSelector(IAnchor.BelowThreshold.selector, 2, 0));
        postAs(d, "", new bytes[](0), new uint256[](0), DERIVED_BOND);
        // It need not be waited for again.
        postDerived(draft(), DERIVED_BOND);
        vm.warp(time() + WINDOW);
        settle(1);
        settle(2);
        settle(3);
        uint256 before = bob.balance;
        anchor.withdrawOwed(payable(bob));
        assertEq(bob.balance - before, 2 * uint256(DERIVED_BOND), "bonds are back");
    }

    function test_what_was_published_is_derived_with_its_certificate_and_no_other() public {
        // Queued after the sequencer fell silent: what it published before does not hold it.
        depositETH(alice, EXCHANGE, 1 ether);
        vm.warp(time() + SILENCE + DEADLINE);
        Draft memory d = draft();
        uint64 cursor = anchor.record(1).cursor;
        (d.c.cursor, d.c.queueHash) = (cursor, queue.hashAt(cursor));
        seal(d);
        // The promise of the slots before the last one, then of other data.
        bytes[] memory certs = new bytes[](2);
        for (uint256 wrong = 0; wrong < 2; ++wrong) {
            bytes32 data = wrong == 0 ? d.c.data : bytes32(uint256(1));
            bytes32 hash = Naive.availability(NETWORK, d.c.firstSlot, d.c.lastSlot - uint64(1 - wrong), data);
            (certs[0], certs[1]) = (signed(committeeKeys[0], hash), signed(committeeKeys[1], hash));
            (address signer,,) = ECDSA.tryRecover(
                Naive.availability(NETWORK, d.c.firstSlot, d.c.lastSlot, d.c.data), certs[0]
            );
            expect(abi.encodeWithSelector(IAnchor.NotCommitteeMember.selector, signer));
            postAs(d, "", certs, new uint256[](0), DERIVED_BOND);
        }
        postDerived(d, DERIVED_BOND);
        assertTrue(anchor.record(2).derived, "derived");
        // Slots of the queue alone take what is overdue, as the sequencer's do.
        d = draft();
        (d.c.cursor, d.c.queueHash, d.c.data) = (cursor, queue.hashAt(cursor), 0);
        expect(abi.encodeWithSelector(IAnchor.EntryOverdue.selector, cursor, time() - SILENCE));
        postDerived(d, DERIVED_BOND);
        d = draft();
        d.c.data = 0;
        postDerived(d, DERIVED_BOND);
        assertEq(anchor.record(3).cursor, queue.length(), "all taken");
    }

    function test_bond_of_a_wrong_derived_commitment_goes_to_the_challenger() public {
        vm.warp(time() + SILENCE);
        postDerived(draft(), DERIVED_BOND);
        challenge(2, 1, carol);
        uint256 frozen = time();
        vm.warp(time() + 2 days);
        _reject(2);
        uint256 before = carol.balance;
        vm.prank(carol);
        anchor.withdrawOwed(payable(carol));
        assertEq(carol.balance - before, uint256(CHALLENGE_BOND) + DERIVED_BOND, "both bonds");
        // Silence goes on as if nothing had happened.
        assertEq(anchor.silentFor(), SILENCE, "silence");
        assertTrue(frozen < time(), "time passed");
        vm.warp(time() + DERIVATION);
        vm.expectRevert(abi.encodeWithSelector(IAnchor.SettleFirst.selector, 1));
        hatch.open();
        settle(1);
        hatch.open();
    }

    function test_derived_commitment_that_stands_earns_the_challengers_bond() public {
        vm.warp(time() + SILENCE);
        postDerived(draft(), DERIVED_BOND);
        challenge(2, 1, carol);
        _uphold(2);
        uint256 before = bob.balance;
        anchor.withdrawOwed(payable(bob));
        assertEq(bob.balance - before, CHALLENGE_BOND, "bond");
    }

    function test_freeze_is_not_silence() public {
        challenge(1, 1, carol);
        vm.warp(time() + SILENCE + DERIVATION);
        expect(abi.encodeWithSelector(IAnchor.NotSilent.selector, 0, SILENCE));
        postDerived(draft(), DERIVED_BOND);
        vm.expectRevert(abi.encodeWithSelector(IAnchor.NotSilent.selector, 0, SILENCE + DERIVATION));
        hatch.open();
    }

    function test_bonds_are_set_by_the_timelock() public {
        vm.expectRevert(abi.encodeWithSelector(IAnchor.NotTimelock.selector, address(this)));
        anchor.setBonds(1, 1);
        vm.prank(timelock);
        anchor.setBonds(3 ether, 4 ether);
        expect(abi.encodeWithSelector(IAnchor.WrongBond.selector, 3 ether, CHALLENGE_BOND));
        challenge(1, 1, carol);
    }
}
