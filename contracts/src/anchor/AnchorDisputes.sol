// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAnchor} from "../interfaces/IAnchor.sol";
import {IStatementVerifier} from "../interfaces/IStatementVerifier.sol";
import {MerkleRfc6962} from "../lib/MerkleRfc6962.sol";
import {Words} from "../lib/Words.sol";
import {Challenge, NetTransfer, Record, Statement, Status, Version} from "../Types.sol";
import {AnchorState} from "./AnchorState.sol";

/// @title Challenges, rejections and what they take back
/// @notice Settlement goes in order, so one challenged commitment holds up everything after it.
/// Bonds: the challenger's goes to the sequencer (or to who anchored without it) when the
/// commitment stands; when it is shown to be wrong the challenger gets it back, and with it the
/// bond of who anchored it without the sequencer; when nobody decided in time, and for commitments
/// that fall only because an earlier one did, every bond returns to who gave it.
abstract contract AnchorDisputes is AnchorState {
    /// @inheritdoc IAnchor
    function challenge(
        uint64 number,
        Statement calldata s,
        uint256 index,
        bytes32[] calldata proof,
        bytes calldata claim
    ) external payable nonReentrant {
        if (closed) revert AnchorClosed();
        Status status = statusOf(number);
        if (status == Status.None) revert Unanchored(number);
        if (status == Status.Rejected) revert CommitmentRejected(number);
        if (status == Status.Challenged) revert AlreadyChallenged(number);
        Record storage r = _records[number];
        if (status == Status.Settled || block.timestamp >= _windowEnd(r)) revert WindowOver(number);
        if (msg.value != challengeBond) revert WrongBond(challengeBond, msg.value);
        bytes32 hash = Words.statement(s, _rangeOf(number));
        if (!MerkleRfc6962.verify(r.statementsRoot, hash, index, r.statements, proof)) {
            revert StatementNotInCommitment(number);
        }

        uint64 time = uint64(block.timestamp);
        r.status = Status.Challenged;
        _challenges[number] = Challenge(msg.sender, uint96(msg.value), time, s.environment, hash);
        if (firstChallenged == 0) frozenSince = time;
        if (firstChallenged == 0 || number < firstChallenged) firstChallenged = number;
        emit Challenged(number, s.environment, msg.sender, hash, claim);
    }

    /// @inheritdoc IAnchor
    function resolveWithProof(
        uint64 number,
        Statement calldata stated,
        Statement calldata proven,
        bytes calldata proof
    ) external nonReentrant {
        Challenge storage c = _open(number);
        bytes32 statedHash = Words.statement(stated, _rangeOf(number));
        if (statedHash != c.statementHash) revert NotTheChallengedStatement(c.statementHash);
        bytes32 provenHash = Words.statement(proven, _rangeOf(number));
        if (
            stated.environment != proven.environment || stated.specHash != proven.specHash
                || stated.programId != proven.programId || stated.firstTimeUs != proven.firstTimeUs
                || stated.lastTimeUs != proven.lastTimeUs || stated.preRoot != proven.preRoot
                || stated.batch != proven.batch || stated.inbox != proven.inbox
                || stated.foreignRoots != proven.foreignRoots
        ) revert OtherInputs();

        uint64 firstSlot = _records[number - 1].lastSlot + 1;
        Version memory version = registry.versionAt(stated.environment, firstSlot);
        IStatementVerifier verifier = IStatementVerifier(version.policy.verifier);
        if (address(verifier) == address(0)) revert NoVerifier(stated.environment);
        if (!verifier.verify(version.programId, provenHash, proof)) revert ProofRefused(provenHash);
        if (statedHash == provenHash) _uphold(number);
        else _reject(number, true);
    }

    /// @inheritdoc IAnchor
    function resolve(uint64 number, bool uphold) external nonReentrant onlyTimelock {
        _open(number);
        if (uphold) _uphold(number);
        else _reject(number, true);
    }

    /// @inheritdoc IAnchor
    function expireFreeze(uint64 number) external nonReentrant {
        uint256 until = uint256(_open(number).since) + maxFreeze;
        if (block.timestamp < until) revert FreezeNotOver(until);
        _reject(number, false);
    }

    /// @inheritdoc IAnchor
    function unwind(NetTransfer[][] calldata lists) external nonReentrant {
        if (unwindFrom == 0) revert NothingToUnwind();
        _unwind(lists);
    }

    /// @inheritdoc IAnchor
    function withdrawOwed(address payable to) external nonReentrant {
        if (to == address(0)) revert ZeroAddress();
        uint256 amount = owed[msg.sender];
        if (amount == 0) revert NothingOwed(msg.sender);
        owed[msg.sender] = 0;
        (bool ok,) = to.call{value: amount}("");
        if (!ok) revert PaymentFailed(to, amount);
    }

    /// @inheritdoc IAnchor
    function close() external nonReentrant {
        if (msg.sender != hatch) revert NotHatch(msg.sender);
        if (closed) revert AnchorClosed();
        uint256 silent = _clock() - anchorClock;
        uint256 required = uint256(silence) + derivation;
        if (silent < required) revert NotSilent(silent, required);
        uint64 next = lastSettled + 1;
        if (statusOf(next) == Status.Anchored && block.timestamp >= _windowEnd(_records[next])) {
            revert SettleFirst(next);
        }
        closed = true;
        emit Closed();
        queue.close();
        _endFreeze();
        if (last >= next) {
            unwindFrom = next;
            emit Rejected(next, false);
            _unwind(_noLists());
        }
    }

    /// @dev When a commitment can be settled, unless it is challenged.
    function _windowEnd(Record storage r) internal view returns (uint256) {
        return uint256(r.countedFrom) + r.challengeWindow;
    }

    function _open(uint64 number) private view returns (Challenge storage) {
        if (statusOf(number) != Status.Challenged) revert NotChallenged(number);
        return _challenges[number];
    }

    /// @dev The commitment stands. While it was frozen nobody had to look at what follows, so all
    /// windows begin anew.
    function _uphold(uint64 number) private {
        Challenge memory c = _challenges[number];
        delete _challenges[number];
        address winner = _derived[number].by;
        _owe(winner == address(0) ? sequencer : winner, c.bond);
        _records[number].status = Status.Anchored;
        // Those that await unwinding are void, their challenges too.
        uint64 end = unwindFrom == 0 ? last : unwindFrom - 1;
        uint64 next = 0;
        for (uint64 n = number; n <= end; ++n) {
            Record storage r = _records[n];
            r.countedFrom = uint64(block.timestamp);
            if (next == 0 && r.status == Status.Challenged) next = n;
        }
        if (firstChallenged == number) {
            if (next == 0) _endFreeze();
            else firstChallenged = next;
        }
        emit Upheld(number);
    }

    /// @param fault Whether the commitment was shown to be wrong, rather than left undecided.
    function _reject(uint64 number, bool fault) private {
        Challenge memory c = _challenges[number];
        delete _challenges[number];
        _owe(c.challenger, c.bond);
        // Its signature is still good: nobody shall post it again. One that was left undecided may
        // well be right.
        if (fault) isCondemned[_records[number].hash] = true;
        // Nothing before it may be challenged for the freeze to end.
        if (firstChallenged == number) _endFreeze();

        Derived memory d = _derived[number];
        if (d.by != address(0)) {
            // Silence goes on as if it had never been anchored.
            anchorClock = d.clockBefore;
            if (fault) {
                delete _derived[number];
                _owe(c.challenger, d.bond);
            }
        } else {
            anchorClock = sequencerClock = _clock();
        }
        unwindFrom = number;
        emit Rejected(number, fault);
        _unwind(_noLists());
    }

    /// @dev From the last commitment downward. Stops at one whose transfers are not given.
    function _unwind(NetTransfer[][] calldata lists) private {
        uint64 from = unwindFrom;
        uint64 n = last;
        uint256 used = 0;
        while (n >= from) {
            Record storage r = _records[n];
            bytes32 expected = r.transfersHash;
            if (expected != 0) {
                if (used == lists.length) break;
                if (Words.transfers(lists[used]) != expected) revert TransfersMismatch(expected);
                bridge.undoDebits(lists[used]);
                ++used;
            }
            _drop(n, r);
            --n;
        }
        last = n;
        if (n < from) unwindFrom = 0;
    }

    function _drop(uint64 n, Record storage r) private {
        r.status = Status.Rejected;
        Challenge memory c = _challenges[n];
        if (c.challenger != address(0)) {
            delete _challenges[n];
            _owe(c.challenger, c.bond);
        }
        Derived memory d = _derived[n];
        if (d.by != address(0)) {
            delete _derived[n];
            _owe(d.by, d.bond);
        }
        uint256 keep = _records[n - 1].statements;
        while (_live.length > keep) {
            uint32 environment = _live[_live.length - 1];
            _live.pop();
            registry.setLive(environment, false);
        }
        emit Unwound(n, r.hash);
    }

    function _endFreeze() private {
        firstChallenged = 0;
        if (frozenSince != 0) {
            frozenTotal += uint64(block.timestamp) - frozenSince;
            frozenSince = 0;
        }
    }

    function _noLists() private pure returns (NetTransfer[][] calldata lists) {
        assembly ("memory-safe") {
            lists.offset := 0
            lists.length := 0
        }
    }
}
