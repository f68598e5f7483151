// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAnchor} from "../src/interfaces/IAnchor.sol";
import {IBridge} from "../src/interfaces/IBridge.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import "../src/Types.sol";
import {HubTest} from "./lib/HubTest.sol";
import {Naive} from "./lib/Naive.sol";

contract AnchorTest is HubTest {
    uint256 private constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    function _refused(Draft memory d, bytes memory reason) private {
        expect(reason);
        post(d);
    }

    function test_commitment_hash_is_as_specified() public {
        boot();
        depositETH(alice, EXCHANGE, 2 ether);
        Draft memory d = draft();
        transfer(d, EXCHANGE, EVM, ETHER, 1 ether);
        seal(d);
        bytes32 expected = hashOf(d);
        post(d);
        assertEq(anchor.record(2).hash, expected, "hash");
        assertEq(anchor.record(2).transfersHash, Naive.transfers(d.t), "transfers");
        assertEq(anchor.lastSlot(), 20, "last slot");
    }

    // ---- order ----

    function test_out_of_order() public {
        boot();
        Draft memory d = draft();
        d.c.number = 3;
        _refused(d, abi.encodeWithSelector(IAnchor.OutOfOrder.selector, 2, 3));
        d.c.number = 1;
        _refused(d, abi.encodeWithSelector(IAnchor.OutOfOrder.selector, 2, 1));
        d.c.number = 2;
        d.c.firstSlot = 12;
        _refused(d, abi.encodeWithSelector(IAnchor.SlotGap.selector, 11, 12));
        d.c.firstSlot = 11;
        d.c.lastSlot = 10;
        _refused(d, abi.encodeWithSelector(IAnchor.EmptyRange.selector, 11, 10));
    }

    function test_statements_of_all_live_environments() public {
        boot();
        Draft memory d = draft();
        Statement[] memory all = d.s;
        d.s = new Statement[](2);
        (d.s[0], d.s[1]) = (all[0], all[2]);
        _refused(d, abi.encodeWithSelector(IAnchor.EnvironmentMissing.selector, 3, 2));
        (d.s[0], d.s[1]) = (all[1], all[2]);
        _refused(d, abi.encodeWithSelector(IAnchor.RouterMissing.selector));
        d.s = new Statement[](0);
        _refused(d, abi.encodeWithSelector(IAnchor.RouterMissing.selector));
        d.s = new Statement[](3);
        (d.s[0], d.s[1], d.s[2]) = (all[0], all[2], all[1]);
        _refused(d, abi.encodeWithSelector(IAnchor.StatementsNotAscending.selector, 1));
        (d.s[0], d.s[1], d.s[2]) = (all[0], all[1], all[1]);
        _refused(d, abi.encodeWithSelector(IAnchor.StatementsNotAscending.selector, 1));
        d.s = new Statement[](129);
        _refused(d, abi.encodeWithSelector(IAnchor.TooManyStatements.selector, 129, 128));
    }

    function test_what_a_statement_must_agree_with() public {
        Draft memory d = draft();
        d.s[1].preRoot = bytes32(uint256(1));
        _refused(d, abi.encodeWithSelector(IAnchor.GenesisMismatch.selector, 1, genesis(1)));
        boot();
        d = draft();
        bytes32 right = d.s[1].specHash;
        d.s[1].specHash = 0;
        _refused(d, abi.encodeWithSelector(IAnchor.SpecHashMismatch.selector, 1, right));
        d = draft();
        right = d.s[2].programId;
        d.s[2].programId = 0;
        _refused(d, abi.encodeWithSelector(IAnchor.ProgramMismatch.selector, 2, right));
        d = draft();
        d.s[2].preRoot = d.s[1].preRoot;
        _refused(d, abi.encodeWithSelector(IAnchor.PreRootMismatch.selector));
        d = draft();
        d.s[2].environment = 3;
        _refused(d, abi.encodeWithSelector(IRegistry.UnknownEnvironment.selector, 3));
    }

    function test_registration_alone_binds_nobody() public {
        boot();
        registry.register{value: REGISTRATION_BOND}(registration("third", VmKind.Evm));
        next();
        environments.push(3);
        Draft memory d = draft();
        d.s[3].preRoot = keccak256("third");
        post(d);
        // Live from now on.
        environments.pop();
        _refused(draft(), abi.encodeWithSelector(IAnchor.EnvironmentMissing.selector, 4, 3));
        environments.push(3);
        next();
    }

    function test_at_most_so_many_await_settlement() public {
        for (uint256 i = 0; i < 256; ++i) {
            next();
        }
        _refused(draft(), abi.encodeWithSelector(IAnchor.TooManyUnsettled.selector, 256));
        vm.warp(time() + WINDOW);
        settle(1);
        next();
        // All of them can be rejected at once.
        challenge(257, 1, carol);
        vm.prank(timelock);
        anchor.resolve(257, false);
        assertEq(anchor.last(), 256, "last");
    }

    // ---- withdrawals ----

    function test_withdrawals_only_grow() public {
        boot();
        withdraw(EXCHANGE, ETHER, bob, 1 ether);
        withdraw(EXCHANGE, ETHER, bob, 2 ether);
        next();
        Draft memory d = draft();
        d.c.withdrawalsCount = 1;
        _refused(d, abi.encodeWithSelector(IAnchor.WithdrawalsShrink.selector, 2, 1));
        d = draft();
        d.c.withdrawalsRoot = 0;
        _refused(d, abi.encodeWithSelector(IAnchor.WithdrawalsRootChanged.selector));
    }

    function test_router_outbox_binds_withdrawals_and_transfers() public {
        boot();
        Draft memory d = draft();
        seal(d);
        d.s[0].outbox = bytes32(uint256(1));
        bytes32 right = Naive.routerOutbox(d.c.withdrawalsRoot, 0, 0);
        expect(abi.encodeWithSelector(IAnchor.RouterOutboxMismatch.selector, right));
        postAs(d, signed(SEQUENCER_KEY, hashOf(d)), certificate(d, 2), new uint256[](0), 0);
    }

    // ---- queue ----

    function test_cursor() public {
        boot();
        depositETH(alice, EXCHANGE, 1 ether);
        depositETH(alice, EXCHANGE, 1 ether);
        Draft memory d = draft();
        d.c.cursor = 3;
        _refused(d, abi.encodeWithSelector(IAnchor.CursorBeyondQueue.selector, 2, 3));
        d.c.cursor = 1;
        _refused(d, abi.encodeWithSelector(IAnchor.QueueHashMismatch.selector, queue.hashAt(1)));
        d.c.queueHash = queue.hashAt(1);
        post(d);
        d = draft();
        (d.c.cursor, d.c.queueHash) = (0, 0);
        _refused(d, abi.encodeWithSelector(IAnchor.CursorBackwards.selector, 1, 0));
        // Entry 1 may wait until its deadline, no longer.
        vm.warp(time() + DEADLINE);
        d = draft();
        (d.c.cursor, d.c.queueHash) = (1, queue.hashAt(1));
        post(d);
        vm.warp(time() + 1);
        d = draft();
        (d.c.cursor, d.c.queueHash) = (1, queue.hashAt(1));
        _refused(d, abi.encodeWithSelector(IAnchor.EntryOverdue.selector, 1, time() - 1));
        next();
    }

    // ---- signature ----

    function _signed(bytes memory signature, bytes memory reason) private {
        Draft memory d = draft();
        expect(reason);
        postAs(d, signature, certificate(d, 2), new uint256[](0), 0);
    }

    function test_bad_signatures() public {
        boot();
        Draft memory d = draft();
        seal(d);
        bytes32 hash = hashOf(d);
        bytes memory reason = abi.encodeWithSelector(IAnchor.BadSignature.selector);
        bytes[] memory certs = certificate(d, 2);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SEQUENCER_KEY, hash);
        bytes[5] memory bad = [
            signed(0xdead, hash),
            signed(SEQUENCER_KEY, keccak256("something else")),
            abi.encodePacked(r, s),
            // The same signature with a high s.
            abi.encodePacked(r, bytes32(ORDER - uint256(s)), v == 27 ? uint8(28) : uint8(27)),
            abi.encodePacked(r, s, v - 27)
        ];
        for (uint256 i = 0; i < bad.length; ++i) {
            expect(reason);
            postAs(d, bad[i], certs, new uint256[](0), 0);
        }
        expect(abi.encodeWithSelector(IAnchor.WrongBond.selector, 0, 1));
        postAs(d, abi.encodePacked(r, s, v), certs, new uint256[](0), 1);
        postAs(d, abi.encodePacked(r, s, v), certs, new uint256[](0), 0);
    }

    function test_stale_sequencer_key() public {
        boot();
        address former = vm.addr(SEQUENCER_KEY);
        vm.expectRevert(abi.encodeWithSelector(IAnchor.NotTimelock.selector, address(this)));
        anchor.setSequencer(vm.addr(0x5ea));
        vm.startPrank(timelock);
        vm.expectRevert(IAnchor.ZeroAddress.selector);
        anchor.setSequencer(address(0));
        anchor.setSequencer(vm.addr(0x5ea));
        vm.expectRevert(abi.encodeWithSelector(IAnchor.FormerSequencer.selector, former));
        anchor.setSequencer(former);
        vm.stopPrank();
        _refused(draft(), abi.encodeWithSelector(IAnchor.StaleSequencerKey.selector, former));
        Draft memory d = draft();
        seal(d);
        postAs(d, signed(0x5ea, hashOf(d)), certificate(d, 2), new uint256[](0), 0);
    }

    // ---- availability ----

    function _available(bytes[] memory certs, uint256[] memory blobs, bytes32 data, bytes memory reason) private {
        Draft memory d = draft();
        if (data != 0) d.c.data = data;
        seal(d);
        expect(reason);
        postAs(d, signed(SEQUENCER_KEY, hashOf(d)), certs, blobs, 0);
    }

    function test_committee_certificates() public {
        boot();
        uint256[] memory none = new uint256[](0);
        Draft memory d = draft();
        bytes[] memory certs = certificate(d, 1);
        _available(certs, none, 0, abi.encodeWithSelector(IAnchor.BelowThreshold.selector, 2, 1));
        certs = certificate(d, 2);
        (certs[0], certs[1]) = (certs[1], certs[0]);
        address low = vm.addr(committeeKeys[0]);
        _available(certs, none, 0, abi.encodeWithSelector(IAnchor.SignersNotAscending.selector, low));
        certs[1] = certs[0];
        address twice = vm.addr(committeeKeys[1]);
        _available(certs, none, 0, abi.encodeWithSelector(IAnchor.SignersNotAscending.selector, twice));
        certs = certificate(d, 2);
        bytes32 hash = Naive.availability(NETWORK, d.c.firstSlot, d.c.lastSlot, d.c.data);
        certs[1] = signed(0xdead, hash);
        bytes memory reason = abi.encodeWithSelector(IAnchor.NotCommitteeMember.selector, vm.addr(0xdead));
        _available(certs, none, 0, reason);
        certs[1] = "";
        _available(certs, none, 0, abi.encodeWithSelector(IAnchor.NotCommitteeMember.selector, address(0)));
        _available(certificate(d, 3), none, 0, "");
    }

    function test_committee_is_replaced_as_a_whole() public {
        boot();
        address[] memory members = new address[](1);
        members[0] = address(0);
        vm.expectRevert(abi.encodeWithSelector(IAnchor.NotTimelock.selector, address(this)));
        anchor.setCommittee(members, 1, false);
        vm.startPrank(timelock);
        vm.expectRevert(IAnchor.BadCommittee.selector);
        anchor.setCommittee(members, 1, false);
        members[0] = vm.addr(committeeKeys[2]);
        vm.expectRevert(IAnchor.BadCommittee.selector);
        anchor.setCommittee(members, 2, false);
        vm.expectRevert(IAnchor.BadCommittee.selector);
        anchor.setCommittee(members, 0, false);
        anchor.setCommittee(members, 1, false);
        vm.expectRevert(abi.encodeWithSelector(IAnchor.BadCommittee.selector));
        anchor.setCommittee(new address[](65), 1, false);
        vm.stopPrank();
        bytes memory reason =
            abi.encodeWithSelector(IAnchor.NotCommitteeMember.selector, vm.addr(committeeKeys[0]));
        _available(certificate(draft(), 2), new uint256[](0), 0, reason);
        _available(new bytes[](0), new uint256[](1), 0, abi.encodeWithSelector(IAnchor.BlobsNotAccepted.selector));
    }

    function test_blobs() public {
        boot();
        bytes32[] memory hashes = new bytes32[](2);
        (hashes[0], hashes[1]) = (bytes32(uint256(0x0101)), bytes32(uint256(0x0202)));
        vm.blobhashes(hashes);
        bytes32[] memory inner = new bytes32[](2);
        inner[0] = sha256(bytes.concat(bytes32("atoll blob"), hashes[1]));
        inner[1] = sha256(bytes.concat(bytes32("atoll blob"), hashes[0]));
        bytes32 data = Naive.merkle(inner);
        bytes[] memory none = new bytes[](0);
        uint256[] memory indexes = new uint256[](2);
        (indexes[0], indexes[1]) = (1, 2);
        _available(none, indexes, data, abi.encodeWithSelector(IAnchor.NoSuchBlob.selector, 2));
        indexes[1] = 0;
        bytes memory reason = abi.encodeWithSelector(IAnchor.BlobDataMismatch.selector, data);
        _available(none, indexes, bytes32(uint256(1)), reason);
        _available(none, indexes, data, "");
        assertEq(anchor.last(), 2, "anchored");
    }

    // ---- net transfers ----

    function _transfers(NetTransfer[] memory t, bytes memory reason) private {
        Draft memory d = draft();
        d.t = t;
        _refused(d, reason);
    }

    function test_bad_transfers() public {
        boot();
        bridge.fund{value: 10 ether}(EXCHANGE, ETHER, 10 ether);
        NetTransfer[] memory t = new NetTransfer[](2);
        (t[0], t[1]) = (NetTransfer(EVM, ETHER, 1), NetTransfer(EXCHANGE, ETHER, -1));
        _transfers(t, abi.encodeWithSelector(IAnchor.TransfersNotSorted.selector, 1));
        (t[0], t[1]) = (NetTransfer(EXCHANGE, ETHER, 1), NetTransfer(EXCHANGE, ETHER, -1));
        _transfers(t, abi.encodeWithSelector(IAnchor.TransfersNotSorted.selector, 1));
        (t[0], t[1]) = (NetTransfer(EXCHANGE, ETHER, -2), NetTransfer(EVM, ETHER, 0));
        _transfers(t, abi.encodeWithSelector(IAnchor.ZeroTransfer.selector, 1));
        (t[0], t[1]) = (NetTransfer(EXCHANGE, ETHER, -2), NetTransfer(EVM, ETHER, 3));
        _transfers(t, abi.encodeWithSelector(IAnchor.TransferUnbalanced.selector, ETHER));
        (t[0], t[1]) = (NetTransfer(EXCHANGE, ETHER, -2), NetTransfer(EVM, address(usdc), 2));
        _transfers(t, abi.encodeWithSelector(IAnchor.TransferUnbalanced.selector, ETHER));
        (t[0], t[1]) = (NetTransfer(EXCHANGE, ETHER, -2), NetTransfer(3, ETHER, 2));
        _transfers(t, abi.encodeWithSelector(IAnchor.TransferOfUnknownEnvironment.selector, 3));
        (t[0], t[1]) = (NetTransfer(ROUTER, ETHER, 2), NetTransfer(EXCHANGE, ETHER, -2));
        _transfers(t, abi.encodeWithSelector(IAnchor.TransferOfUnknownEnvironment.selector, 0));
        t = new NetTransfer[](257);
        _transfers(t, abi.encodeWithSelector(IAnchor.TooManyTransfers.selector, 257, 256));
    }

    function test_transfer_above_escrow() public {
        boot();
        bridge.fund{value: 1 ether}(EXCHANGE, ETHER, 1 ether);
        bridge.fund{value: 9 ether}(EVM, ETHER, 9 ether);
        Draft memory d = draft();
        transfer(d, EXCHANGE, EVM, ETHER, 1 ether + 1);
        _refused(
            d, abi.encodeWithSelector(IBridge.EscrowExceeded.selector, EXCHANGE, ETHER, 1 ether, 1 ether + 1)
        );
    }

    function test_transfers_leave_at_anchoring_and_arrive_at_settlement() public {
        boot();
        bridge.fund{value: 5 ether}(EXCHANGE, ETHER, 5 ether);
        Draft memory d = draft();
        transfer(d, EXCHANGE, EVM, ETHER, 2 ether);
        post(d);
        assertEq(bridge.escrow(EXCHANGE, ETHER), 3 ether, "left");
        assertEq(bridge.escrow(EVM, ETHER), 0, "not there yet");
        assertEq(bridge.pendingCredits(ETHER), 2 ether, "pending");
        vm.warp(time() + WINDOW);
        settle(1);
        vm.expectRevert(abi.encodeWithSelector(IAnchor.TransfersMismatch.selector, Naive.transfers(d.t)));
        anchor.settle(2, new NetTransfer[](0));
        settle(2);
        assertEq(bridge.escrow(EVM, ETHER), 2 ether, "arrived");
        assertEq(bridge.pendingCredits(ETHER), 0, "nothing pending");
    }

    // ---- settlement ----

    function test_settlement_waits_and_goes_in_order() public {
        boot();
        next();
        expect(abi.encodeWithSelector(IAnchor.WindowOpen.selector, 1, time() + WINDOW));
        settle(1);
        vm.warp(time() + WINDOW);
        expect(abi.encodeWithSelector(IAnchor.SettleOutOfOrder.selector, 1, 2));
        settle(2);
        settle(1);
        expect(abi.encodeWithSelector(IAnchor.SettleOutOfOrder.selector, 2, 1));
        settle(1);
        settle(2);
        expect(abi.encodeWithSelector(IAnchor.Unanchored.selector, 3));
        settle(3);
    }

    function test_longest_window_counts() public {
        Registration memory r = registration("slow", VmKind.Other);
        r.version.policy.challengeWindow = 9 days;
        registry.register{value: REGISTRATION_BOND}(r);
        environments.push(3);
        Draft memory d = draft();
        d.s[3].preRoot = keccak256("slow");
        post(d);
        expect(abi.encodeWithSelector(IAnchor.WindowOpen.selector, 1, time() + 9 days));
        settle(1);
    }
}
