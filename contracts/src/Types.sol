// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice One environment's claim about a range of slots. What all environments of a commitment
/// share (protocol version, network, slots, cursors) is not repeated here: the hub fills it in.
struct Statement {
    uint32 environment;
    bytes32 specHash;
    bytes32 programId;
    uint64 firstTimeUs;
    uint64 lastTimeUs;
    bytes32 preRoot;
    bytes32 postRoot;
    bytes32 batch;
    bytes32 inbox;
    bytes32 outbox;
    bytes32 receipts;
    bytes32 foreignRoots;
}

/// @notice What a range of slots moved out of (negative) or into an environment, per token.
struct NetTransfer {
    uint32 environment;
    address token;
    int256 delta;
}

/// @notice What the sequencer states about a range of slots. Statements root, transfers hash and
/// the hash of the commitment before are computed by the hub.
struct Commitment {
    uint64 number;
    uint64 firstSlot;
    uint64 lastSlot;
    uint64 cursor;
    uint64 withdrawalsCount;
    bytes32 slotHash;
    bytes32 queueHash;
    bytes32 withdrawalsRoot;
    bytes32 data;
}

/// @notice A leaf of the tree of withdrawals.
struct Withdrawal {
    uint64 index;
    uint32 environment;
    address from;
    address to;
    address token;
    uint256 amount;
}

/// @notice An entry of the hub queue: a deposit (kind 1) or a forced transaction (kind 2).
struct Entry {
    uint64 index;
    uint8 kind;
    uint32 environment;
    address from;
    address to;
    address token;
    uint256 amount;
    bytes data;
    uint64 time;
}

/// @notice A router ledger object: cumulative sums of one environment and token.
struct Ledger {
    uint256 deposits;
    uint256 inflow;
    uint256 outflow;
    uint256 withdrawals;
}

/// @notice Kinds of virtual machine. The kind decides what a snapshot exit reads.
enum VmKind {
    Router,
    Exchange,
    Evm,
    Other
}

/// @notice How an environment's statements may be disputed.
/// @param challengeWindow Seconds.
/// @param verifier An `IStatementVerifier`, or zero if there is none.
struct Policy {
    uint32 challengeWindow;
    address verifier;
}

/// @notice What an environment runs from a slot on.
struct Version {
    uint64 activationSlot;
    uint32 vmVersion;
    VmKind vmKind;
    bytes32 specHash;
    bytes32 programId;
    Policy policy;
}

/// @notice A token an environment accepts, and the smallest amount of which deposits are multiples.
struct TokenUnit {
    address token;
    uint256 unit;
}

/// @notice What a new environment is registered with.
/// @param genesisRoot Pre root of its first statement; zero is the root of an empty state.
struct Registration {
    string name;
    Version version;
    bytes32 genesisRoot;
    TokenUnit[] tokens;
}

/// @notice What a statement of a range of slots must agree with.
struct Terms {
    bytes32 specHash;
    bytes32 programId;
    bytes32 genesisRoot;
    uint32 challengeWindow;
    bool live;
}

/// @notice Where a commitment stands.
enum Status {
    None,
    Anchored,
    Challenged,
    Settled,
    Rejected
}

/// @notice What the hub keeps of a commitment.
/// @param heads Keccak-256 over (environment, post root) of its statements.
/// @param countedFrom When its challenge window began; begins anew when a freeze ends in its favour.
/// @param statements Number of statements.
/// @param derived Whether it was anchored without the sequencer.
struct Record {
    bytes32 hash;
    bytes32 statementsRoot;
    bytes32 heads;
    bytes32 withdrawalsRoot;
    bytes32 transfersHash;
    uint64 lastSlot;
    uint64 cursor;
    uint64 withdrawalsCount;
    uint64 countedFrom;
    uint64 anchoredAt;
    uint32 challengeWindow;
    uint16 statements;
    Status status;
    bool derived;
}

/// @notice An open challenge.
struct Challenge {
    address challenger;
    uint96 bond;
    uint64 since;
    uint32 environment;
    bytes32 statementHash;
}

/// @notice The contracts of one hub.
struct Addresses {
    address timelock;
    address guardian;
    address registry;
    address queue;
    address anchor;
    address bridge;
    address hatch;
}

/// @param bond Wei that a registration must bring.
/// @param upgradeDelaySlots How far ahead of the last anchored slot an upgrade must lie. Must
/// exceed challenge window plus the time users need to leave.
struct RegistryConfig {
    uint96 bond;
    uint32 minChallengeWindow;
    uint32 maxChallengeWindow;
    uint64 upgradeDelaySlots;
}

/// @notice Times are seconds, bonds wei.
/// @param threshold Committee signatures needed.
/// @param blobs Whether data in blobs of the anchoring transaction counts as available.
struct AnchorConfig {
    bytes32 network;
    address sequencer;
    address[] committee;
    uint8 threshold;
    bool blobs;
    uint32 inclusionDeadline;
    uint32 silence;
    uint32 derivation;
    uint32 maxFreeze;
    uint96 challengeBond;
    uint96 derivedBond;
}

/// @param maxPause Longest pause of an environment by the guardian, seconds.
/// @param pauseCooldown Shortest time between the end of a pause and the next, seconds.
struct BridgeConfig {
    uint32 maxPause;
    uint32 pauseCooldown;
}
