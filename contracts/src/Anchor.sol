// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {AnchorDisputes} from "./anchor/AnchorDisputes.sol";
import {IAnchor} from "./interfaces/IAnchor.sol";
import {IBridge} from "./interfaces/IBridge.sol";
import {IHubQueue} from "./interfaces/IHubQueue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {MerkleRfc6962} from "./lib/MerkleRfc6962.sol";
import {WithdrawalTree} from "./lib/WithdrawalTree.sol";
import {Range, Words} from "./lib/Words.sol";
import {
    Addresses, AnchorConfig, Commitment, NetTransfer, Record, Statement, Status, Terms
} from "./Types.sol";

/// @title Commitments: order, availability, settlement
/// @notice Each commitment continues the one before: number, slots, hash, queue cursor and the
/// state roots of all live environments. Nothing is settled before its challenge window has
/// passed, and nothing that is settled ever changes.
contract Anchor is AnchorDisputes {
    constructor() {
        _disableInitializers();
    }

    function initialize(Addresses calldata a, AnchorConfig calldata c) external initializer {
        timelock = a.timelock;
        hatch = a.hatch;
        registry = IRegistry(a.registry);
        queue = IHubQueue(a.queue);
        bridge = IBridge(a.bridge);
        network = c.network;
        inclusionDeadline = c.inclusionDeadline;
        silence = c.silence;
        derivation = c.derivation;
        maxFreeze = c.maxFreeze;
        sequencerClock = anchorClock = _clock();
        // What the first commitment continues.
        _records[0].withdrawalsRoot = WithdrawalTree.emptyRoot();
        _setSequencer(c.sequencer);
        _setCommittee(c.committee, c.threshold, c.blobs);
        _setBonds(c.challengeBond, c.derivedBond);
    }

    // ---- commitments ----

    /// @inheritdoc IAnchor
    function anchor(
        Commitment calldata c,
        Statement[] calldata s,
        NetTransfer[] calldata t,
        bytes calldata signature,
        bytes[] calldata availability,
        uint256[] calldata blobIndexes
    ) external payable nonReentrant {
        bool derived = signature.length == 0;
        // What was published before the sequencer fell silent cannot hold what was queued since.
        // Whoever derives goes on with the queue, and then nothing overdue may be left behind.
        bytes32 hash = _accept(c, s, t, derived && c.data != 0);
        if (derived) {
            _recordDerived(c.number);
            // Slots of hub entries alone need no data beside the hub's own.
            if (c.data == 0 && availability.length == 0 && blobIndexes.length == 0) return;
        } else {
            if (msg.value != 0) revert WrongBond(0, msg.value);
            _checkSequencer(hash, signature);
            anchorClock = sequencerClock = _clock();
        }
        _checkAvailability(c, availability, blobIndexes);
    }

    function _recordDerived(uint64 number) private {
        uint256 silent = silentFor();
        if (silent < silence) revert NotSilent(silent, silence);
        if (msg.value != derivedBond) revert WrongBond(derivedBond, msg.value);
        _records[number].derived = true;
        _derived[number] = Derived(msg.sender, uint96(msg.value), anchorClock);
        anchorClock = _clock();
        emit AnchoredDerived(number, msg.sender, msg.value);
    }

    function _checkSequencer(bytes32 hash, bytes calldata signature) private view {
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecover(hash, signature);
        if (failure != ECDSA.RecoverError.NoError) revert BadSignature();
        if (signer != sequencer) {
            if (isFormerSequencer[signer]) revert StaleSequencerKey(signer);
            revert BadSignature();
        }
    }

    function _accept(Commitment calldata c, Statement[] calldata s, NetTransfer[] calldata t, bool mayLeaveOverdue)
        private
        returns (bytes32 hash)
    {
        if (closed) revert AnchorClosed();
        if (unwindFrom != 0) revert UnwindPending(unwindFrom);
        uint64 number = last + 1;
        if (c.number != number) revert OutOfOrder(number, c.number);
        if (number - lastSettled > MAX_UNSETTLED) revert TooManyUnsettled(MAX_UNSETTLED);
        Record storage before = _records[number - 1];
        if (c.firstSlot != before.lastSlot + 1) revert SlotGap(before.lastSlot + 1, c.firstSlot);
        if (c.lastSlot < c.firstSlot) revert EmptyRange(c.firstSlot, c.lastSlot);
        _checkQueue(c, before.cursor, mayLeaveOverdue);

        Record storage r = _records[number];
        (bytes32 statementsRoot, bytes32 heads, uint32 window) = _checkStatements(c, s, before);
        bytes32 transfersHash = _checkTransfers(t, s);
        _checkWithdrawals(c, s[0].outbox, transfersHash, before);

        hash = Words.commitment(c, network, before.hash, statementsRoot, transfersHash);
        if (isCondemned[hash]) revert Condemned(hash);
        (r.hash, r.statementsRoot, r.heads) = (hash, statementsRoot, heads);
        (r.withdrawalsRoot, r.transfersHash) = (c.withdrawalsRoot, transfersHash);
        (r.lastSlot, r.cursor, r.withdrawalsCount) = (c.lastSlot, c.cursor, c.withdrawalsCount);
        r.countedFrom = r.anchoredAt = uint64(block.timestamp);
        (r.challengeWindow, r.statements) = (window, uint16(s.length));
        (r.status, r.derived) = (Status.Anchored, false);
        last = number;
        emit Anchored(number, hash, c, statementsRoot, transfersHash);
        if (t.length != 0) {
            emit Transfers(number, t);
            bridge.applyDebits(t);
        }
    }

    function _checkQueue(Commitment calldata c, uint64 cursor, bool mayLeaveOverdue) private view {
        if (c.cursor < cursor) revert CursorBackwards(cursor, c.cursor);
        (uint64 entries, bytes32 hash, uint64 nextTime) = queue.checkpoint(c.cursor);
        if (c.cursor > entries) revert CursorBeyondQueue(entries, c.cursor);
        if (c.queueHash != hash) revert QueueHashMismatch(hash);
        if (mayLeaveOverdue) return;
        uint256 deadline = uint256(nextTime) + inclusionDeadline;
        if (nextTime != 0 && block.timestamp > deadline) revert EntryOverdue(c.cursor, deadline);
    }

    /// @return statementsRoot Merkle root of the statements' hashes.
    /// @return heads What the next commitment's pre roots are checked against.
    /// @return window The longest challenge window.
    function _checkStatements(Commitment calldata c, Statement[] calldata s, Record storage before)
        private
        returns (bytes32 statementsRoot, bytes32 heads, uint32 window)
    {
        if (s.length > MAX_STATEMENTS) revert TooManyStatements(s.length, MAX_STATEMENTS);
        if (s.length == 0 || s[0].environment != 0) revert RouterMissing();
        Range memory range = Range(network, c.firstSlot, c.lastSlot, before.cursor, c.cursor);
        bytes32[] memory hashes = new bytes32[](s.length);
        bytes32 preHeads = 0;
        uint256 liveCount = 0;
        for (uint256 i = 0; i < s.length; ++i) {
            Statement calldata one = s[i];
            uint32 environment = one.environment;
            if (i != 0 && environment <= s[i - 1].environment) revert StatementsNotAscending(environment);
            Terms memory terms = registry.termsAt(environment, c.firstSlot, c.lastSlot);
            if (one.specHash != terms.specHash) revert SpecHashMismatch(environment, terms.specHash);
            if (one.programId != terms.programId) revert ProgramMismatch(environment, terms.programId);
            if (terms.live) {
                ++liveCount;
                preHeads = _head(preHeads, environment, one.preRoot);
            } else {
                if (one.preRoot != terms.genesisRoot) revert GenesisMismatch(environment, terms.genesisRoot);
                _live.push(environment);
                registry.setLive(environment, true);
            }
            heads = _head(heads, environment, one.postRoot);
            if (terms.challengeWindow > window) window = terms.challengeWindow;
            hashes[i] = Words.statement(one, range);
        }
        if (liveCount != before.statements) revert EnvironmentMissing(before.statements, liveCount);
        if (preHeads != before.heads) revert PreRootMismatch();
        statementsRoot = MerkleRfc6962.root(hashes);
    }

    function _head(bytes32 heads, uint32 environment, bytes32 root) private pure returns (bytes32) {
        return keccak256(abi.encode(heads, environment, root));
    }

    function _checkTransfers(NetTransfer[] calldata t, Statement[] calldata s) private view returns (bytes32) {
        if (t.length > MAX_TRANSFERS) revert TooManyTransfers(t.length, MAX_TRANSFERS);
        address[] memory tokens = new address[](t.length);
        int256[] memory sums = new int256[](t.length);
        uint256 distinct = 0;
        // Both lists ascend by environment. The router holds no money.
        uint256 next = 1;
        for (uint256 i = 0; i < t.length; ++i) {
            (uint32 environment, address token) = (t[i].environment, t[i].token);
            if (t[i].delta == 0) revert ZeroTransfer(i);
            if (i != 0) {
                uint32 previous = t[i - 1].environment;
                if (environment < previous || (environment == previous && token <= t[i - 1].token)) {
                    revert TransfersNotSorted(i);
                }
            }
            while (next < s.length && s[next].environment < environment) ++next;
            if (next == s.length || s[next].environment != environment) {
                revert TransferOfUnknownEnvironment(environment);
            }
            uint256 k = 0;
            while (k < distinct && tokens[k] != token) ++k;
            if (k == distinct) tokens[distinct++] = token;
            sums[k] += t[i].delta;
        }
        for (uint256 k = 0; k < distinct; ++k) {
            if (sums[k] != 0) revert TransferUnbalanced(tokens[k]);
        }
        return Words.transfers(t);
    }

    function _checkWithdrawals(
        Commitment calldata c,
        bytes32 routerOutbox,
        bytes32 transfersHash,
        Record storage before
    ) private view {
        bytes32 expected = Words.routerOutbox(c.withdrawalsRoot, c.withdrawalsCount, transfersHash);
        if (routerOutbox != expected) revert RouterOutboxMismatch(expected);
        if (c.withdrawalsCount < before.withdrawalsCount) {
            revert WithdrawalsShrink(before.withdrawalsCount, c.withdrawalsCount);
        }
        if (c.withdrawalsCount == before.withdrawalsCount && c.withdrawalsRoot != before.withdrawalsRoot) {
            revert WithdrawalsRootChanged();
        }
    }

    function _checkAvailability(
        Commitment calldata c,
        bytes[] calldata availability,
        uint256[] calldata blobIndexes
    ) private view {
        if (blobIndexes.length != 0) return _checkBlobs(c.data, blobIndexes);
        uint256 given = availability.length;
        if (given < threshold) revert BelowThreshold(threshold, given);
        bytes32 hash = Words.availability(network, c.firstSlot, c.lastSlot, c.data);
        address previous = address(0);
        for (uint256 i = 0; i < given; ++i) {
            (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecover(hash, availability[i]);
            if (failure != ECDSA.RecoverError.NoError || !isCommittee[signer]) revert NotCommitteeMember(signer);
            if (signer <= previous) revert SignersNotAscending(signer);
            previous = signer;
        }
    }

    function _checkBlobs(bytes32 data, uint256[] calldata blobIndexes) private view {
        if (!blobs) revert BlobsNotAccepted();
        bytes32[] memory leaves = new bytes32[](blobIndexes.length);
        for (uint256 i = 0; i < blobIndexes.length; ++i) {
            bytes32 versioned = blobhash(blobIndexes[i]);
            if (versioned == 0) revert NoSuchBlob(blobIndexes[i]);
            leaves[i] = Words.blob(versioned);
        }
        bytes32 expected = MerkleRfc6962.root(leaves);
        if (data != expected) revert BlobDataMismatch(expected);
    }

    /// @inheritdoc IAnchor
    function settle(uint64 number, NetTransfer[] calldata t) external nonReentrant {
        if (number != lastSettled + 1) revert SettleOutOfOrder(lastSettled + 1, number);
        Status status = statusOf(number);
        if (status == Status.None) revert Unanchored(number);
        if (status == Status.Rejected) revert CommitmentRejected(number);
        if (status == Status.Challenged) revert CommitmentFrozen(number, number);
        Record storage r = _records[number];
        uint256 end = _windowEnd(r);
        if (block.timestamp < end) revert WindowOpen(number, end);
        if (Words.transfers(t) != r.transfersHash) revert TransfersMismatch(r.transfersHash);
        r.status = Status.Settled;
        lastSettled = number;
        if (r.derived) {
            Derived memory d = _derived[number];
            delete _derived[number];
            _owe(d.by, d.bond);
        }
        emit Settled(number, r.hash);
        if (t.length != 0) bridge.applyCredits(t);
    }

    // ---- by the timelock ----

    /// @inheritdoc IAnchor
    function setSequencer(address newSequencer) external onlyTimelock {
        _setSequencer(newSequencer);
    }

    /// @inheritdoc IAnchor
    function setCommittee(address[] calldata members, uint8 newThreshold, bool newBlobs) external onlyTimelock {
        _setCommittee(members, newThreshold, newBlobs);
    }

    /// @inheritdoc IAnchor
    function setBonds(uint96 newChallengeBond, uint96 newDerivedBond) external onlyTimelock {
        _setBonds(newChallengeBond, newDerivedBond);
    }

    function _setSequencer(address newSequencer) private {
        if (newSequencer == address(0)) revert ZeroAddress();
        // A key that was replaced may have leaked.
        if (isFormerSequencer[newSequencer]) revert FormerSequencer(newSequencer);
        if (sequencer != address(0) && sequencer != newSequencer) isFormerSequencer[sequencer] = true;
        sequencer = newSequencer;
        emit SequencerSet(newSequencer);
    }

    function _setCommittee(address[] calldata members, uint8 newThreshold, bool newBlobs) private {
        uint256 n = members.length;
        if (n > MAX_COMMITTEE || newThreshold > n || newThreshold == 0) revert BadCommittee();
        for (uint256 i = 0; i < _committee.length; ++i) {
            isCommittee[_committee[i]] = false;
        }
        for (uint256 i = 0; i < n; ++i) {
            if (members[i] == address(0) || isCommittee[members[i]]) revert BadCommittee();
            isCommittee[members[i]] = true;
        }
        _committee = members;
        (threshold, blobs) = (newThreshold, newBlobs);
        emit CommitteeSet(members, newThreshold, newBlobs);
    }

    function _setBonds(uint96 newChallengeBond, uint96 newDerivedBond) private {
        (challengeBond, derivedBond) = (newChallengeBond, newDerivedBond);
        emit BondsSet(newChallengeBond, newDerivedBond);
    }
}
