// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Challenge, Commitment, NetTransfer, Record, Statement, Status} from "../Types.sol";

/// @title Commitments: order, availability, challenges, settlement
interface IAnchor {
    /// @notice A commitment was accepted. Its statements are in the transaction's input.
    event Anchored(
        uint64 indexed number,
        bytes32 indexed hash,
        Commitment commitment,
        bytes32 statementsRoot,
        bytes32 transfersHash
    );
    /// @notice The commitment was anchored without the sequencer.
    event AnchoredDerived(uint64 indexed number, address indexed by, uint256 bond);
    /// @notice The net transfers of a commitment that has any: `settle` and `unwind` ask for them.
    event Transfers(uint64 indexed number, NetTransfer[] transfers);
    /// @notice The commitment is final and its withdrawals can be claimed.
    event Settled(uint64 indexed number, bytes32 indexed hash);
    /// @notice The commitment and everything after it is frozen.
    event Challenged(
        uint64 indexed number,
        uint32 indexed environment,
        address indexed challenger,
        bytes32 statementHash,
        bytes claim
    );
    /// @notice The challenge failed; windows of the commitment and those after it begin anew.
    event Upheld(uint64 indexed number);
    /// @notice The commitment and all after it are void.
    event Rejected(uint64 indexed number, bool fault);
    /// @notice A void commitment's effects were taken back.
    event Unwound(uint64 indexed number, bytes32 indexed hash);
    /// @notice Wei that `to` may take with `withdrawOwed`.
    event Owed(address indexed to, uint256 amount);
    event SequencerSet(address indexed sequencer);
    event CommitteeSet(address[] members, uint8 threshold, bool blobs);
    event BondsSet(uint96 challengeBond, uint96 derivedBond);
    /// @notice No further commitment is accepted; those not settled are void.
    event Closed();

    error NotTimelock(address caller);
    error NotHatch(address caller);
    error AnchorClosed();
    error OutOfOrder(uint64 expected, uint64 given);
    error SlotGap(uint64 expected, uint64 given);
    error EmptyRange(uint64 firstSlot, uint64 lastSlot);
    error TooManyUnsettled(uint64 max);
    error TooManyStatements(uint256 given, uint256 max);
    error TooManyTransfers(uint256 given, uint256 max);
    /// @notice Call `unwind` first.
    error UnwindPending(uint64 from);
    error NothingToUnwind();
    /// @notice This very commitment was rejected before.
    error Condemned(bytes32 hash);
    error RouterMissing();
    error StatementsNotAscending(uint32 environment);
    /// @notice A live environment has no statement.
    error EnvironmentMissing(uint256 live, uint256 given);
    error SpecHashMismatch(uint32 environment, bytes32 expected);
    error ProgramMismatch(uint32 environment, bytes32 expected);
    error GenesisMismatch(uint32 environment, bytes32 expected);
    /// @notice A pre root is not the post root of the commitment before.
    error PreRootMismatch();
    error RouterOutboxMismatch(bytes32 expected);
    error WithdrawalsShrink(uint64 before, uint64 given);
    error WithdrawalsRootChanged();
    error CursorBackwards(uint64 before, uint64 given);
    error CursorBeyondQueue(uint64 length, uint64 given);
    error QueueHashMismatch(bytes32 expected);
    error EntryOverdue(uint64 index, uint256 deadline);
    error BadSignature();
    error StaleSequencerKey(address signer);
    error NotCommitteeMember(address signer);
    error SignersNotAscending(address signer);
    error BelowThreshold(uint256 required, uint256 given);
    error BlobsNotAccepted();
    error NoSuchBlob(uint256 index);
    error BlobDataMismatch(bytes32 expected);
    error TransfersNotSorted(uint256 index);
    error ZeroTransfer(uint256 index);
    error TransferUnbalanced(address token);
    error TransferOfUnknownEnvironment(uint32 environment);
    error TransfersMismatch(bytes32 expected);
    error NotSilent(uint256 silentFor, uint256 required);
    error WrongBond(uint256 required, uint256 given);
    error SettleOutOfOrder(uint64 expected, uint64 given);
    error WindowOpen(uint64 number, uint256 until);
    error WindowOver(uint64 number);
    /// @notice A commitment can be settled and must not be dropped.
    error SettleFirst(uint64 number);
    error AlreadyChallenged(uint64 number);
    error NotChallenged(uint64 number);
    error StatementNotInCommitment(uint64 number);
    error NotTheChallengedStatement(bytes32 statementHash);
    /// @notice A proof of other inputs says nothing about the challenged statement.
    error OtherInputs();
    error NoVerifier(uint32 environment);
    error ProofRefused(bytes32 statementHash);
    error FreezeNotOver(uint256 until);
    error Unanchored(uint64 number);
    error Unsettled(uint64 number);
    error CommitmentFrozen(uint64 number, uint64 by);
    error CommitmentRejected(uint64 number);
    error NothingOwed(address to);
    error PaymentFailed(address to, uint256 amount);
    error ZeroAddress();
    error FormerSequencer(address sequencer);
    error BadCommittee();

    /// @notice Accepts the next commitment. Signed by the sequencer, anyone may carry it. Without a
    /// signature it is accepted from anyone after silence, for the derived bond: about published
    /// slots with the certificate of exactly these, and then overdue entries may be left to what
    /// follows; about slots of hub entries alone (no data) without a certificate.
    /// @param c The commitment.
    /// @param s One statement of each live environment, by ascending environment.
    /// @param t Net transfers by ascending (environment, token).
    /// @param signature The sequencer's, of the commitment's hash; empty: anchored without it.
    /// @param availability The committee's, by ascending signer; empty when blobs are named.
    /// @param blobIndexes Blobs of this transaction that hold the data.
    function anchor(
        Commitment calldata c,
        Statement[] calldata s,
        NetTransfer[] calldata t,
        bytes calldata signature,
        bytes[] calldata availability,
        uint256[] calldata blobIndexes
    ) external payable;

    /// @notice Settles the oldest commitment that is not settled, after its window.
    /// @param t Its net transfers.
    function settle(uint64 number, NetTransfer[] calldata t) external;

    /// @notice Freezes a commitment and all after it. Costs the challenge bond.
    /// @param s The statement said to be wrong.
    /// @param index Its position in the commitment.
    /// @param proof Its Merkle path to the statements root.
    /// @param claim What is wrong, for whoever resolves it.
    function challenge(
        uint64 number,
        Statement calldata s,
        uint256 index,
        bytes32[] calldata proof,
        bytes calldata claim
    ) external payable;

    /// @notice Ends a challenge by a proof of the statement (it stands) or of another one with the
    /// same inputs (it is rejected).
    function resolveWithProof(
        uint64 number,
        Statement calldata stated,
        Statement calldata proven,
        bytes calldata proof
    ) external;

    /// @notice Ends a challenge. Timelock only.
    /// @param uphold Whether the commitment stands.
    function resolve(uint64 number, bool uphold) external;

    /// @notice Rejects a commitment whose challenge nobody resolved in time.
    function expireFreeze(uint64 number) external;

    /// @notice Takes back what rejected commitments did, from the last one downward.
    /// @param lists The net transfers of those that have any, in that order. Ends early when it
    /// runs out of lists.
    function unwind(NetTransfer[][] calldata lists) external;

    /// @notice Accepts no further commitment, drops those not settled. Hatch only.
    function close() external;

    /// @notice Pays out what a bond left to the caller.
    function withdrawOwed(address payable to) external;

    /// @notice Replaces the sequencer's key. Timelock only.
    function setSequencer(address sequencer) external;

    /// @notice Replaces the availability committee. Timelock only.
    function setCommittee(address[] calldata members, uint8 threshold, bool blobs) external;

    /// @notice Sets the bonds, wei. Timelock only.
    function setBonds(uint96 challengeBond, uint96 derivedBond) external;

    /// @notice Number of the last commitment.
    function last() external view returns (uint64);

    /// @notice Number of the last settled commitment.
    function lastSettled() external view returns (uint64);

    /// @notice Last slot of the last commitment.
    function lastSlot() external view returns (uint64);

    /// @notice What the hub keeps of a commitment.
    function record(uint64 number) external view returns (Record memory);

    /// @notice Where a commitment stands; one that awaits unwinding is already rejected.
    function statusOf(uint64 number) external view returns (Status);

    /// @notice The challenge of a commitment; all zero if there is none.
    function challengeOf(uint64 number) external view returns (Challenge memory);

    /// @notice Root and number of withdrawals of a settled commitment; reverts with the reason for
    /// any other.
    function settledWithdrawals(uint64 number) external view returns (bytes32 root, uint64 count);

    /// @notice Hash of a statement as it stands in a commitment.
    function statementHash(uint64 number, Statement calldata s) external view returns (bytes32);

    /// @notice Seconds since the sequencer last anchored, freezes not counted.
    function silentFor() external view returns (uint256);

    /// @notice Whether the snapshot exit was opened.
    function closed() external view returns (bool);

    /// @notice First rejected commitment whose effects were not taken back yet; zero if none.
    function unwindFrom() external view returns (uint64);
}
