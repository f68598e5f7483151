// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IAnchor} from "../interfaces/IAnchor.sol";
import {IBridge} from "../interfaces/IBridge.sol";
import {IHubQueue} from "../interfaces/IHubQueue.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {Range, Words} from "../lib/Words.sol";
import {Addresses, AnchorConfig, Challenge, Record, Statement, Status} from "../Types.sol";

/// @title What the anchor remembers
/// @notice All of the anchor's storage, in one place, and what is read from it.
abstract contract AnchorState is IAnchor, Initializable, ReentrancyGuardTransient {
    /// @notice Commitments that may await settlement: bounds what a rejection has to take back.
    uint64 public constant MAX_UNSETTLED = 256;
    uint256 public constant MAX_STATEMENTS = 128;
    uint256 public constant MAX_TRANSFERS = 256;
    uint256 public constant MAX_COMMITTEE = 64;

    /// @notice The bond of a commitment anchored without the sequencer, and the clock before it.
    struct Derived {
        address by;
        uint96 bond;
        uint64 clockBefore;
    }

    address public timelock;
    /// @inheritdoc IAnchor
    uint64 public last;
    address public hatch;
    /// @inheritdoc IAnchor
    uint64 public lastSettled;
    IRegistry public registry;
    /// @inheritdoc IAnchor
    uint64 public unwindFrom;
    IHubQueue public queue;
    /// @notice First challenged commitment; zero: none.
    uint64 public firstChallenged;
    IBridge public bridge;
    /// @notice When the present freeze began; zero: none.
    uint64 public frozenSince;
    address public sequencer;
    /// @notice Sum of past freezes, seconds.
    uint64 public frozenTotal;
    /// @notice Clock when the sequencer last anchored.
    uint64 public sequencerClock;
    /// @notice Clock when anyone last anchored.
    uint64 public anchorClock;
    uint32 public inclusionDeadline;
    uint32 public silence;
    uint32 public derivation;
    uint8 public threshold;
    /// @notice Whether data in blobs counts as available.
    bool public blobs;
    /// @inheritdoc IAnchor
    bool public closed;
    uint96 public challengeBond;
    uint96 public derivedBond;
    uint32 public maxFreeze;
    bytes32 public network;
    address[] internal _committee;
    mapping(address => bool) public isCommittee;
    mapping(address => bool) public isFormerSequencer;
    /// @dev Live environments in the order in which they became live.
    uint32[] internal _live;
    mapping(uint64 => Record) internal _records;
    mapping(uint64 => Challenge) internal _challenges;
    mapping(uint64 => Derived) internal _derived;
    /// @notice Wei that bonds left to an account.
    mapping(address => uint256) public owed;
    /// @notice Commitments that were shown to be wrong.
    mapping(bytes32 => bool) public isCondemned;

    modifier onlyTimelock() {
        if (msg.sender != timelock) revert NotTimelock(msg.sender);
        _;
    }

    /// @dev Seconds that passed while nothing was frozen, from an arbitrary zero.
    function _clock() internal view returns (uint64) {
        uint64 now_ = frozenSince != 0 ? frozenSince : uint64(block.timestamp);
        return now_ - frozenTotal;
    }

    /// @inheritdoc IAnchor
    function silentFor() public view returns (uint256) {
        return _clock() - sequencerClock;
    }

    /// @inheritdoc IAnchor
    function lastSlot() external view returns (uint64) {
        return _records[last].lastSlot;
    }

    /// @inheritdoc IAnchor
    function record(uint64 number) external view returns (Record memory r) {
        r = _records[number];
        r.status = statusOf(number);
    }

    /// @inheritdoc IAnchor
    function challengeOf(uint64 number) external view returns (Challenge memory) {
        return _challenges[number];
    }

    /// @notice Members of the availability committee.
    function committee() external view returns (address[] memory) {
        return _committee;
    }

    /// @notice Live environments, in the order in which they became live.
    function live() external view returns (uint32[] memory) {
        return _live;
    }

    /// @inheritdoc IAnchor
    function statusOf(uint64 number) public view returns (Status) {
        if (_isVoid(number)) return Status.Rejected;
        return _records[number].status;
    }

    /// @inheritdoc IAnchor
    function settledWithdrawals(uint64 number) external view returns (bytes32 root, uint64 count) {
        Status status = statusOf(number);
        if (status == Status.Settled) {
            return (_records[number].withdrawalsRoot, _records[number].withdrawalsCount);
        }
        if (status == Status.None) revert Unanchored(number);
        if (status == Status.Rejected) revert CommitmentRejected(number);
        uint64 by = firstChallenged;
        if (by != 0 && by <= number) revert CommitmentFrozen(number, by);
        revert Unsettled(number);
    }

    /// @inheritdoc IAnchor
    function statementHash(uint64 number, Statement calldata s) external view returns (bytes32) {
        return Words.statement(s, _rangeOf(number));
    }

    /// @dev Whether a commitment was rejected and awaits unwinding.
    function _isVoid(uint64 number) internal view returns (bool) {
        uint64 from = unwindFrom;
        return from != 0 && number >= from && number <= last;
    }

    /// @dev What the statements of an existing commitment have in common.
    function _rangeOf(uint64 number) internal view returns (Range memory) {
        if (number == 0 || _records[number].status == Status.None) revert Unanchored(number);
        Record storage before = _records[number - 1];
        Record storage r = _records[number];
        return Range(network, before.lastSlot + 1, r.lastSlot, before.cursor, r.cursor);
    }

    function _owe(address to, uint256 amount) internal {
        if (amount == 0) return;
        owed[to] += amount;
        emit Owed(to, amount);
    }
}
