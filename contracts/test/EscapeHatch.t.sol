// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAnchor} from "../src/interfaces/IAnchor.sol";
import {IBridge} from "../src/interfaces/IBridge.sol";
import {Exit, IEscapeHatch, ProvenStatement} from "../src/interfaces/IEscapeHatch.sol";
import {IHubQueue} from "../src/interfaces/IHubQueue.sol";
import {StateObjects} from "../src/lib/StateObjects.sol";
import "../src/Types.sol";
import {HubTest} from "./lib/HubTest.sol";
import {Naive} from "./lib/Naive.sol";

contract EscapeHatchTest is HubTest {
    struct Object {
        bytes key;
        bytes value;
    }

    /// @dev Objects of each environment's state.
    mapping(uint32 => Object[]) private _state;

    function setUp() public override {
        super.setUp();
        boot();
        depositETH(alice, EXCHANGE, 6 ether);
        depositETH(bob, EXCHANGE, 4 ether);
        depositETH(carol, EVM, 5 ether);
        deposit(carol, EVM, 1000);
    }

    function _put(uint32 environment, bytes memory key, bytes memory value) private {
        _state[environment].push(Object(key, value));
    }

    function _ledger(uint32 environment, address token, Ledger memory ledger) private {
        _put(ROUTER, StateObjects.ledgerKey(environment, token), StateObjects.ledgerValue(ledger));
    }

    function _claims(uint256 a, uint256 b, uint256 total) private {
        _put(EXCHANGE, StateObjects.claimKey(alice, ETHER), abi.encode(a));
        _put(EXCHANGE, StateObjects.claimKey(bob, ETHER), abi.encode(b));
        _put(EXCHANGE, StateObjects.claimTotalKey(ETHER), abi.encode(total));
    }

    function _nodes(uint32 environment) private view returns (Naive.Node[] memory nodes) {
        Object[] storage objects = _state[environment];
        nodes = new Naive.Node[](objects.length);
        for (uint256 i = 0; i < nodes.length; ++i) {
            nodes[i] = Naive.object(objects[i].key, objects[i].value);
        }
    }

    function _path(uint32 environment, bytes memory key) private view returns (bytes32[] memory) {
        return Naive.triePath(_nodes(environment), sha256(key));
    }

    /// @dev Anchors and settles a commitment with the states above.
    function _settleStates() private returns (uint64 number) {
        Draft memory d = draft();
        for (uint256 i = 0; i < d.s.length; ++i) {
            if (_state[uint32(i)].length != 0) d.s[i].postRoot = Naive.trie(_nodes(uint32(i)), 0);
        }
        post(d);
        number = d.c.number;
        vm.warp(time() + WINDOW);
        for (uint64 n = anchor.lastSettled() + 1; n <= number; ++n) {
            settle(n);
        }
    }

    function _silence() private {
        vm.warp(time() + SILENCE + DERIVATION);
        hatch.open();
    }

    function _openExit(uint32 environment, address token, Ledger memory ledger, uint256 total) private {
        uint64 number = anchor.lastSettled();
        ProvenStatement memory router = proven(number, 0);
        ProvenStatement memory statement = proven(number, environment);
        bytes32[] memory ledgerPath = _path(ROUTER, StateObjects.ledgerKey(environment, token));
        bytes32[] memory totalPath = _path(environment, StateObjects.claimTotalKey(token));
        armed();
        hatch.openExit(token, router, statement, ledger, ledgerPath, total, totalPath);
    }

    function _exit(address account, uint256 amount) private {
        bytes32[] memory path = _path(EXCHANGE, StateObjects.claimKey(account, ETHER));
        armed();
        hatch.exit(EXCHANGE, ETHER, account, abi.encode(amount), path);
    }

    function _refund(Entry memory e) private {
        armed();
        hatch.refundDeposit(e);
    }

    function _entry(uint64 index, address from, uint32 environment, uint256 amount) private view returns (Entry memory) {
        return Entry(index, 1, environment, from, from, ETHER, amount, "", uint64(time()));
    }

    /// @dev Alice holds 7 ether and Bob 3, all of it there.
    function _solvent() private returns (Ledger memory ledger) {
        ledger = Ledger(10 ether, 0, 0, 0);
        _ledger(EXCHANGE, ETHER, ledger);
        _claims(7 ether, 3 ether, 10 ether);
        _settleStates();
    }

    function test_only_after_silence_and_derivation() public {
        _solvent();
        vm.warp(time() + SILENCE + DERIVATION - WINDOW - 1);
        uint256 required = uint256(SILENCE) + DERIVATION;
        vm.expectRevert(abi.encodeWithSelector(IAnchor.NotSilent.selector, required - 1, required));
        hatch.open();
        vm.expectRevert(IEscapeHatch.NotOpen.selector);
        hatch.exit(EXCHANGE, ETHER, alice, "", new bytes32[](0));
        vm.warp(time() + 1);
        hatch.open();
        assertTrue(hatch.isOpen(), "open");
        vm.expectRevert(IAnchor.AnchorClosed.selector);
        hatch.open();
    }

    function test_everyone_is_paid_in_full_when_solvent_and_once() public {
        Ledger memory ledger = _solvent();
        _silence();
        expect(abi.encodeWithSelector(IEscapeHatch.ExitNotOpen.selector, EXCHANGE, ETHER));
        _exit(alice, 7 ether);
        _openExit(EXCHANGE, ETHER, ledger, 10 ether);
        expect(abi.encodeWithSelector(IEscapeHatch.ExitAlreadyOpen.selector, EXCHANGE, ETHER));
        _openExit(EXCHANGE, ETHER, ledger, 10 ether);
        (uint256 a, uint256 b) = (alice.balance, bob.balance);
        expect(abi.encodeWithSelector(IEscapeHatch.BadStateProof.selector));
        _exit(alice, 8 ether);
        _exit(alice, 7 ether);
        _exit(bob, 3 ether);
        assertEq(alice.balance - a, 7 ether, "alice");
        assertEq(bob.balance - b, 3 ether, "bob");
        expect(abi.encodeWithSelector(IEscapeHatch.AlreadyExited.selector, EXCHANGE, ETHER, alice));
        _exit(alice, 7 ether);
        assertEq(bridge.escrow(EXCHANGE, ETHER), 0, "escrow");
        assertEq(bridge.escrow(EVM, ETHER), 5 ether, "the other's escrow");
    }

    function test_everyone_is_paid_pro_rata_when_not() public {
        // 12 ether of claims, 10 there.
        Ledger memory ledger = Ledger(10 ether, 0, 0, 0);
        _ledger(EXCHANGE, ETHER, ledger);
        _claims(9 ether, 3 ether, 12 ether);
        _settleStates();
        _silence();
        _openExit(EXCHANGE, ETHER, ledger, 12 ether);
        (uint256 a, uint256 b) = (alice.balance, bob.balance);
        _exit(bob, 3 ether);
        _exit(alice, 9 ether);
        assertEq(alice.balance - a, 7.5 ether, "alice");
        assertEq(bob.balance - b, 2.5 ether, "bob");
    }

    function test_claims_that_exceed_their_total_do_not_take_others_money() public {
        Ledger memory ledger = Ledger(10 ether, 0, 0, 0);
        _ledger(EXCHANGE, ETHER, ledger);
        _claims(7 ether, 3 ether, 8 ether);
        _settleStates();
        _silence();
        _openExit(EXCHANGE, ETHER, ledger, 8 ether);
        _exit(alice, 7 ether);
        expect(abi.encodeWithSelector(IEscapeHatch.PoolExhausted.selector, 1 ether, 3 ether));
        _exit(bob, 3 ether);
    }

    function test_settled_withdrawals_and_unconsumed_deposits_come_first() public {
        Ledger memory ledger = Ledger(10 ether, 0, 0, 2 ether);
        Withdrawal memory first = withdraw(EXCHANGE, ETHER, carol, 0.5 ether);
        Withdrawal memory second = withdraw(EXCHANGE, ETHER, carol, 1.5 ether);
        _ledger(EXCHANGE, ETHER, ledger);
        _claims(6 ether, 2 ether, 8 ether);
        uint64 number = _settleStates();
        bridge.claim(number, first, proofOf(0));
        // Came after the last settled cursor.
        depositETH(carol, EXCHANGE, 3 ether);
        Entry memory late = _entry(4, carol, EXCHANGE, 3 ether);
        depositETH(bob, EXCHANGE, 1 ether);
        Entry memory later = _entry(5, bob, EXCHANGE, 1 ether);
        next();
        vm.warp(time() + SILENCE + DERIVATION);
        vm.expectRevert(abi.encodeWithSelector(IAnchor.SettleFirst.selector, number + 1));
        hatch.open();
        // A challenge keeps it from being settled: it is dropped.
        vm.warp(time() - SILENCE - DERIVATION);
        challenge(number + 1, 0, carol);
        vm.prank(timelock);
        anchor.resolve(number + 1, false);
        _silence();
        _refund(later);
        _openExit(EXCHANGE, ETHER, ledger, 8 ether);
        Exit memory e = hatch.exitOf(EXCHANGE, ETHER);
        assertEq(e.pool, 8 ether, "pool");
        _exit(alice, 6 ether);
        _exit(bob, 2 ether);
        bridge.claim(number, second, proofOf(1));
        _refund(late);
        assertEq(bridge.escrow(EXCHANGE, ETHER), 0, "escrow");
    }

    function test_insolvency_takes_nothing_from_withdrawals_and_unconsumed_deposits() public {
        // 12 ether of claims; of the 13 there, 2 are withdrawn and 3 came late.
        Ledger memory ledger = Ledger(10 ether, 0, 0, 2 ether);
        Withdrawal memory w = withdraw(EXCHANGE, ETHER, carol, 2 ether);
        _ledger(EXCHANGE, ETHER, ledger);
        _claims(9 ether, 3 ether, 12 ether);
        uint64 number = _settleStates();
        depositETH(carol, EXCHANGE, 3 ether);
        Entry memory late = _entry(4, carol, EXCHANGE, 3 ether);
        _silence();
        _openExit(EXCHANGE, ETHER, ledger, 12 ether);
        assertEq(hatch.exitOf(EXCHANGE, ETHER).pool, 8 ether, "pool");
        _exit(alice, 9 ether);
        _exit(bob, 3 ether);
        bridge.claim(number, w, proofOf(0));
        _refund(late);
        assertEq(bridge.escrow(EXCHANGE, ETHER), 0, "escrow");
    }

    function test_open_while_frozen_gives_back_debits_and_bonds() public {
        _solvent();
        // A window longer than silence and derivation keeps it unsettled.
        Registration memory r = registration("slow", VmKind.Other);
        r.version.policy.challengeWindow = 30 days;
        registry.register{value: REGISTRATION_BOND}(r);
        environments.push(3);
        Draft memory d = draft();
        d.s[3].preRoot = keccak256("slow");
        transfer(d, EXCHANGE, EVM, ETHER, 2 ether);
        post(d);
        vm.warp(time() + SILENCE + DERIVATION);
        challenge(d.c.number, 0, carol);
        hatch.open();
        vm.expectRevert(abi.encodeWithSelector(IEscapeHatch.UnwindPending.selector, d.c.number));
        hatch.exit(EXCHANGE, ETHER, alice, "", new bytes32[](0));
        NetTransfer[][] memory lists = new NetTransfer[][](1);
        lists[0] = d.t;
        anchor.unwind(lists);
        assertEq(bridge.escrow(EXCHANGE, ETHER), 10 ether, "given back");
        vm.prank(carol);
        anchor.withdrawOwed(payable(carol));
        _openExit(EXCHANGE, ETHER, Ledger(10 ether, 0, 0, 0), 10 ether);
        _exit(alice, 7 ether);
        expect(abi.encodeWithSelector(IAnchor.AnchorClosed.selector));
        post(draft());
        expect(abi.encodeWithSelector(IAnchor.CommitmentRejected.selector, d.c.number));
        settle(d.c.number);
        vm.expectRevert(IHubQueue.QueueClosed.selector);
        bridge.depositETH{value: 1 ether}(EXCHANGE, alice);
        vm.expectRevert(IHubQueue.QueueClosed.selector);
        queue.force(EXCHANGE, "x");
        vm.expectRevert(IBridge.BridgeClosed.selector);
        bridge.fund{value: 1}(EXCHANGE, ETHER, 1);
        vm.expectRevert(IAnchor.AnchorClosed.selector);
        anchor.challenge(1, d.s[0], 0, new bytes32[](0), "");
    }

    function test_exit_from_an_evm_environment() public {
        Ledger memory ether_ = Ledger(5 ether, 1 ether, 2 ether, 1 ether);
        Ledger memory usd = Ledger(1000, 0, 0, 0);
        _ledger(EVM, ETHER, ether_);
        _ledger(EVM, address(usdc), usd);
        bytes memory account = abi.encodePacked(hex"8701", uint8(8), uint64(3 ether));
        _put(EVM, StateObjects.accountKey(carol), account);
        address token = StateObjects.bridgedToken(address(usdc));
        bytes memory slot = StateObjects.slotKey(token, uint256(keccak256(abi.encode(carol, 0))));
        _put(EVM, slot, abi.encodePacked(uint8(2), uint16(1000)));
        _settleStates();
        _silence();
        _openExit(EVM, ETHER, ether_, 0);
        _openExit(EVM, address(usdc), usd, 0);
        assertEq(hatch.exitOf(EVM, ETHER).total, 3 ether, "total");
        bytes32[] memory path = _path(EVM, StateObjects.accountKey(carol));
        uint256 before = carol.balance;
        hatch.exit(EVM, ETHER, carol, account, path);
        assertEq(carol.balance - before, 3 ether, "ether");
        before = usdc.balanceOf(carol);
        hatch.exit(EVM, address(usdc), carol, abi.encodePacked(uint8(2), uint16(1000)), _path(EVM, slot));
        assertEq(usdc.balanceOf(carol) - before, 1000, "usdc");
        // An object that is not one.
        vm.expectRevert(StateObjects.Malformed.selector);
        hatch.exit(EVM, ETHER, alice, hex"80", path);
        vm.expectRevert(StateObjects.Malformed.selector);
        hatch.exit(EVM, address(usdc), alice, hex"0401", path);
    }

    function test_refused_openings() public {
        Ledger memory ledger = _solvent();
        uint64 number = anchor.lastSettled();
        _silence();
        expect(abi.encodeWithSelector(IEscapeHatch.BadStateProof.selector));
        _openExit(EXCHANGE, ETHER, Ledger(11 ether, 0, 0, 0), 10 ether);
        expect(abi.encodeWithSelector(IEscapeHatch.BadStateProof.selector));
        _openExit(EXCHANGE, ETHER, ledger, 9 ether);
        expect(abi.encodeWithSelector(IEscapeHatch.BadStateProof.selector));
        _openExit(EVM, ETHER, ledger, 0);
        bytes32[] memory path = _path(ROUTER, StateObjects.ledgerKey(EXCHANGE, ETHER));
        ProvenStatement memory router = proven(number, 0);
        ProvenStatement memory statement = proven(number, 1);
        vm.expectRevert(abi.encodeWithSelector(IEscapeHatch.NotTheRouter.selector, 1));
        hatch.openExit(ETHER, statement, statement, ledger, path, 0, path);
        statement.statement.postRoot = 0;
        vm.expectRevert(abi.encodeWithSelector(IEscapeHatch.StatementNotSettled.selector, 1));
        hatch.openExit(ETHER, router, statement, ledger, path, 0, path);
        router = proven(number - 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IEscapeHatch.StatementNotSettled.selector, 0));
        hatch.openExit(ETHER, router, statement, ledger, path, 0, path);
    }

    function test_router_has_no_exit() public {
        _ledger(ROUTER, ETHER, Ledger(1, 0, 0, 0));
        _settleStates();
        _silence();
        expect(abi.encodeWithSelector(IEscapeHatch.NoSnapshotExit.selector, 0));
        _openExit(ROUTER, ETHER, Ledger(1, 0, 0, 0), 0);
    }

    function test_nothing_to_pay() public {
        Ledger memory ledger = Ledger(10 ether, 0, 0, 0);
        _ledger(EXCHANGE, ETHER, ledger);
        _claims(0, 3 ether, 3 ether);
        _settleStates();
        _silence();
        _openExit(EXCHANGE, ETHER, ledger, 3 ether);
        expect(abi.encodeWithSelector(IEscapeHatch.NothingToPay.selector));
        _exit(alice, 0);
    }

    function test_refunds_only_of_deposits_that_were_not_consumed_and_once() public {
        settleNext();
        depositETH(alice, EXCHANGE, 3 ether);
        Entry memory e = _entry(4, alice, EXCHANGE, 3 ether);
        queue.force(EXCHANGE, "x");
        _silence();
        Entry memory consumed = _entry(0, alice, EXCHANGE, 6 ether);
        expect(abi.encodeWithSelector(IEscapeHatch.AlreadyConsumed.selector, 0, 4));
        _refund(consumed);
        e.amount = 4 ether;
        expect(abi.encodeWithSelector(IEscapeHatch.NotInQueue.selector, 4));
        _refund(e);
        e.amount = 3 ether;
        e.kind = 2;
        expect(abi.encodeWithSelector(IEscapeHatch.NotADeposit.selector, 4));
        _refund(e);
        e.kind = 1;
        e.index = 6;
        expect(abi.encodeWithSelector(IEscapeHatch.NotInQueue.selector, 6));
        _refund(e);
        e.index = 4;
        uint256 before = alice.balance;
        _refund(e);
        assertEq(alice.balance - before, 3 ether, "refund");
        expect(abi.encodeWithSelector(IEscapeHatch.AlreadyRefunded.selector, 4));
        _refund(e);
    }

    function test_without_a_settled_commitment_only_refunds() public {
        vm.warp(time() + 1);
        challenge(1, 0, carol);
        vm.prank(timelock);
        anchor.resolve(1, false);
        _silence();
        Ledger memory ledger;
        ProvenStatement memory p;
        vm.expectRevert(IEscapeHatch.NothingSettled.selector);
        hatch.openExit(ETHER, p, p, ledger, new bytes32[](0), 0, new bytes32[](0));
        Entry memory e = Entry(0, 1, EXCHANGE, alice, alice, ETHER, 6 ether, "", uint64(1_800_000_000));
        _refund(e);
    }
}
