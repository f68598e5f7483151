//! The hub's contracts as Solidity declares them, and what their errors mean.
//!
//! Declarations are those of `contracts/src`; a test compares every selector with the committed
//! ABI.
#![allow(missing_docs, clippy::too_many_arguments)]

use alloy_sol_types::{Panic, Revert, SolError, SolInterface, sol};

sol! {
    #![sol(all_derives)]

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
    struct NetTransfer {
        uint32 environment;
        address token;
        int256 delta;
    }
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
    struct Withdrawal {
        uint64 index;
        uint32 environment;
        address from;
        address to;
        address token;
        uint256 amount;
    }
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
    struct Ledger {
        uint256 deposits;
        uint256 inflow;
        uint256 outflow;
        uint256 withdrawals;
    }
    enum VmKind {
        Router,
        Exchange,
        Evm,
        Other
    }
    struct Policy {
        uint32 challengeWindow;
        address verifier;
    }
    struct Version {
        uint64 activationSlot;
        uint32 vmVersion;
        VmKind vmKind;
        bytes32 specHash;
        bytes32 programId;
        Policy policy;
    }
    struct TokenUnit {
        address token;
        uint256 unit;
    }
    struct Registration {
        string name;
        Version version;
        bytes32 genesisRoot;
        TokenUnit[] tokens;
    }
    struct Terms {
        bytes32 specHash;
        bytes32 programId;
        bytes32 genesisRoot;
        uint32 challengeWindow;
        bool live;
    }
    enum Status {
        None,
        Anchored,
        Challenged,
        Settled,
        Rejected
    }
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
    struct Challenge {
        address challenger;
        uint96 bond;
        uint64 since;
        uint32 environment;
        bytes32 statementHash;
    }
    struct Addresses {
        address timelock;
        address guardian;
        address registry;
        address queue;
        address anchor;
        address bridge;
        address hatch;
    }
    struct RegistryConfig {
        uint96 bond;
        uint32 minChallengeWindow;
        uint32 maxChallengeWindow;
        uint64 upgradeDelaySlots;
    }
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
    struct BridgeConfig {
        uint32 maxPause;
        uint32 pauseCooldown;
    }

    interface IRegistry {
        event Registered(
            uint32 indexed environment, address indexed owner, string name, bytes32 genesisRoot, uint256 bond
        );
        event VersionAdded(uint32 indexed environment, uint256 indexed index, Version version);
        event TokenSet(uint32 indexed environment, address indexed token, uint256 unit);
        event LiveSet(uint32 indexed environment, bool live);
        event OwnershipOffered(uint32 indexed environment, address indexed to);
        event OwnershipTaken(uint32 indexed environment, address indexed owner);
        event Withdrawn(uint32 indexed environment, address indexed owner, uint256 bond);
        event BondSlashed(uint32 indexed environment, address indexed to, uint256 bond);
        error NotTimelock(address caller);
        error NotAnchor(address caller);
        error NotEnvironmentOwner(uint32 environment, address caller);
        error UnknownEnvironment(uint32 environment);
        error EnvironmentNotLive(uint32 environment);
        error EnvironmentWasLive(uint32 environment);
        error WrongBond(uint256 required, uint256 given);
        error NoBond(uint32 environment);
        error BadName(uint256 length);
        error BadToken(address token);
        error TooManyTokens(uint256 given, uint256 max);
        error TokenNotListed(uint32 environment, address token);
        error BadChallengeWindow(uint32 given, uint32 min, uint32 max);
        error ZeroHash();
        error BadVmKind();
        error VmKindChanged(uint32 environment);
        error ActivationTooSoon(uint64 earliest, uint64 given);
        error UpgradePending(uint32 environment, uint64 activationSlot);
        error NotActive(uint32 environment, uint64 slot);
        error VersionBoundary(uint32 environment, uint64 activationSlot);
        error PaymentFailed(address to, uint256 amount);
        function register(Registration calldata registration) external payable returns (uint32 environment);
        function upgrade(uint32 environment, Version calldata version) external;
        function setToken(uint32 environment, address token, uint256 unit) external;
        function offerOwnership(uint32 environment, address to) external;
        function takeOwnership(uint32 environment) external;
        function withdraw(uint32 environment) external;
        function slashBond(uint32 environment, address to) external;
        function setLive(uint32 environment, bool live) external;
        function termsAt(uint32 environment, uint64 firstSlot, uint64 lastSlot) external view returns (Terms memory);
        function versionAt(uint32 environment, uint64 slot) external view returns (Version memory);
        function depositUnit(uint32 environment, address token) external view returns (uint256 unit);
        function requireKnown(uint32 environment) external view;
        function requireLive(uint32 environment) external view;
    }

    interface IHubQueue {
        event Enqueued(
            uint64 indexed index,
            uint8 kind,
            uint32 indexed environment,
            address from,
            address to,
            address token,
            uint256 amount,
            bytes data,
            uint64 time,
            bytes32 queueHash
        );
        event Closed();
        error NotBridge(address caller);
        error NotAnchor(address caller);
        error QueueClosed();
        error NoData();
        error TooMuchData(uint256 given, uint256 max);
        error BeyondQueue(uint64 cursor, uint64 length);
        function force(uint32 environment, bytes calldata data) external returns (uint64 index);
        function pushDeposit(uint32 environment, address from, address to, address token, uint256 amount)
            external
            returns (uint64 index);
        function close() external;
        function length() external view returns (uint64);
        function closed() external view returns (bool);
        function hashAt(uint64 cursor) external view returns (bytes32);
        function timeAt(uint64 index) external view returns (uint64);
        function checkpoint(uint64 cursor) external view returns (uint64 length, bytes32 hash, uint64 nextTime);
        function depositsBefore(uint32 environment, address token, uint64 cursor) external view returns (uint256);
        function deposits(uint32 environment, address token) external view returns (uint256);
    }

    interface IAnchor {
        event Anchored(
            uint64 indexed number,
            bytes32 indexed hash,
            Commitment commitment,
            bytes32 statementsRoot,
            bytes32 transfersHash
        );
        event AnchoredDerived(uint64 indexed number, address indexed by, uint256 bond);
        event Transfers(uint64 indexed number, NetTransfer[] transfers);
        event Settled(uint64 indexed number, bytes32 indexed hash);
        event Challenged(
            uint64 indexed number,
            uint32 indexed environment,
            address indexed challenger,
            bytes32 statementHash,
            bytes claim
        );
        event Upheld(uint64 indexed number);
        event Rejected(uint64 indexed number, bool fault);
        event Unwound(uint64 indexed number, bytes32 indexed hash);
        event Owed(address indexed to, uint256 amount);
        event SequencerSet(address indexed sequencer);
        event CommitteeSet(address[] members, uint8 threshold, bool blobs);
        event BondsSet(uint96 challengeBond, uint96 derivedBond);
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
        error UnwindPending(uint64 from);
        error NothingToUnwind();
        error RouterMissing();
        error StatementsNotAscending(uint32 environment);
        error EnvironmentMissing(uint256 live, uint256 given);
        error SpecHashMismatch(uint32 environment, bytes32 expected);
        error ProgramMismatch(uint32 environment, bytes32 expected);
        error GenesisMismatch(uint32 environment, bytes32 expected);
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
        error SettleFirst(uint64 number);
        error AlreadyChallenged(uint64 number);
        error NotChallenged(uint64 number);
        error StatementNotInCommitment(uint64 number);
        error NotTheChallengedStatement(bytes32 statementHash);
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
        function anchor(
            Commitment calldata c,
            Statement[] calldata s,
            NetTransfer[] calldata t,
            bytes calldata signature,
            bytes[] calldata availability,
            uint256[] calldata blobIndexes
        ) external;
        function settle(uint64 number, NetTransfer[] calldata t) external;
        function challenge(
            uint64 number,
            Statement calldata s,
            uint256 index,
            bytes32[] calldata proof,
            bytes calldata claim
        ) external payable;
        function resolveWithProof(
            uint64 number,
            Statement calldata stated,
            Statement calldata proven,
            bytes calldata proof
        ) external;
        function resolve(uint64 number, bool uphold) external;
        function expireFreeze(uint64 number) external;
        function unwind(NetTransfer[][] calldata lists) external;
        function close() external;
        function withdrawOwed(address payable to) external;
        function setSequencer(address sequencer) external;
        function setCommittee(address[] calldata members, uint8 threshold, bool blobs) external;
        function setBonds(uint96 challengeBond, uint96 derivedBond) external;
        function last() external view returns (uint64);
        function lastSettled() external view returns (uint64);
        function lastSlot() external view returns (uint64);
        function record(uint64 number) external view returns (Record memory);
        function statusOf(uint64 number) external view returns (Status);
        function challengeOf(uint64 number) external view returns (Challenge memory);
        function settledWithdrawals(uint64 number) external view returns (bytes32 root, uint64 count);
        function statementHash(uint64 number, Statement calldata s) external view returns (bytes32);
        function silentFor() external view returns (uint256);
        function closed() external view returns (bool);
        function unwindFrom() external view returns (uint64);
        function timelock() external view returns (address);
        function registry() external view returns (address);
        function queue() external view returns (address);
        function bridge() external view returns (address);
        function hatch() external view returns (address);
        function network() external view returns (bytes32);
        function sequencer() external view returns (address);
        function isCommittee(address account) external view returns (bool);
        function sequencerClock() external view returns (uint64);
        function anchorClock() external view returns (uint64);
        function silence() external view returns (uint32);
        function derivation() external view returns (uint32);
        function challengeBond() external view returns (uint96);
        function derivedBond() external view returns (uint96);
        function owed(address account) external view returns (uint256);
    }

    interface IBridge {
        event Deposited(
            uint64 indexed index,
            uint32 indexed environment,
            address indexed token,
            address from,
            address to,
            uint256 amount
        );
        event Funded(uint32 indexed environment, address indexed token, address from, uint256 amount);
        event Claimed(
            uint64 indexed index,
            uint32 indexed environment,
            address indexed token,
            address to,
            uint256 amount,
            uint64 commitment
        );
        event Released(uint32 indexed environment, address indexed token, address indexed to, uint256 amount);
        event EscrowMoved(uint32 indexed environment, address indexed token, int256 delta);
        event Paused(uint32 indexed environment, uint64 until);
        event Unpaused(uint32 indexed environment);
        event GuardianSet(address indexed guardian);
        event RateLimitSet(address indexed token, uint128 capacity, uint128 refillPerSecond);
        error NotTimelock(address caller);
        error NotGuardian(address caller);
        error NotAnchor(address caller);
        error NotHatch(address caller);
        error ZeroAddress();
        error ZeroAmount();
        error WrongValue(uint256 expected, uint256 given);
        error NotAMultiple(uint256 amount, uint256 unit);
        error EnvironmentPaused(uint32 environment, uint64 until);
        error TransferFeeToken(address token, uint256 sent, uint256 received);
        error BalanceBelowEscrow(address token, uint256 balance, uint256 accounted);
        error EscrowExceeded(uint32 environment, address token, uint256 escrow, uint256 amount);
        error NoSuchWithdrawal(uint64 index, uint64 count);
        error BadProof(uint64 index);
        error AlreadyClaimed(uint64 index);
        error RateLimited(address token, uint256 available, uint256 amount);
        error PaymentFailed(address to, uint256 amount);
        error AlreadyPaused(uint32 environment, uint64 until);
        error PauseCoolingDown(uint32 environment, uint64 until);
        error NotPaused(uint32 environment);
        error BridgeClosed();
        function depositETH(uint32 environment, address to) external payable returns (uint64 index);
        function deposit(uint32 environment, address token, address to, uint256 amount) external returns (uint64 index);
        function fund(uint32 environment, address token, uint256 amount) external payable;
        function claim(uint64 commitment, Withdrawal calldata w, bytes32[32] calldata proof) external;
        function applyDebits(NetTransfer[] calldata t) external;
        function applyCredits(NetTransfer[] calldata t) external;
        function undoDebits(NetTransfer[] calldata t) external;
        function release(uint32 environment, address token, address to, uint256 amount) external;
        function pause(uint32 environment) external;
        function unpause(uint32 environment) external;
        function setGuardian(address guardian) external;
        function setRateLimit(address token, uint128 capacity, uint128 refillPerSecond) external;
        function escrow(uint32 environment, address token) external view returns (uint256);
        function claimed(uint32 environment, address token) external view returns (uint256);
        function pendingCredits(address token) external view returns (uint256);
        function accounted(address token) external view returns (uint256);
        function isClaimed(uint64 index) external view returns (bool);
        function pausedUntil(uint32 environment) external view returns (uint64);
    }

    struct ProvenStatement {
        Statement statement;
        uint256 index;
        bytes32[] proof;
    }
    struct Exit {
        bytes32 root;
        uint256 total;
        uint256 pool;
        uint256 paid;
        address tokenContract;
        uint8 vmKind;
        bool opened;
    }
    interface IEscapeHatch {
        event Opened(uint64 indexed commitment);
        event ExitOpened(uint32 indexed environment, address indexed token, uint256 total, uint256 pool);
        event Exited(
            uint32 indexed environment, address indexed token, address indexed account, uint256 claim, uint256 paid
        );
        event Refunded(uint64 indexed index, uint32 indexed environment, address indexed token, address to, uint256 amount);
        error NotOpen();
        error UnwindPending(uint64 from);
        error NothingSettled();
        error StatementNotSettled(uint32 environment);
        error NotTheRouter(uint32 environment);
        error ExitAlreadyOpen(uint32 environment, address token);
        error ExitNotOpen(uint32 environment, address token);
        error BadStateProof();
        error BadObject();
        error NoSnapshotExit(uint8 vmKind);
        error NothingToPay();
        error AlreadyExited(uint32 environment, address token, address account);
        error PoolExhausted(uint256 left, uint256 payout);
        error NotADeposit(uint64 index);
        error AlreadyConsumed(uint64 index, uint64 cursor);
        error NotInQueue(uint64 index);
        error AlreadyRefunded(uint64 index);
        function open() external;
        function openExit(
            address token,
            ProvenStatement calldata router,
            ProvenStatement calldata environment,
            Ledger calldata ledger,
            bytes32[] calldata ledgerSiblings,
            uint256 total,
            bytes32[] calldata totalSiblings
        ) external;
        function exit(
            uint32 environment,
            address token,
            address account,
            bytes calldata object,
            bytes32[] calldata siblings
        ) external;
        function refundDeposit(Entry calldata entry) external;
        function isOpen() external view returns (bool);
        function exitOf(uint32 environment, address token) external view returns (Exit memory);
        function hasExited(uint32 environment, address token, address account) external view returns (bool);
        function isRefunded(uint64 index) external view returns (bool);
    }

    /// Implementations behind the proxies.
    struct Implementations {
        address registry;
        address queue;
        address anchor;
        address bridge;
        address hatch;
    }

    /// All that a hub is set up with (`HubConfig` in Solidity).
    struct HubSetup {
        RegistryConfig registry;
        AnchorConfig anchor;
        BridgeConfig bridge;
        Registration router;
    }

    interface IHub {
        event Deployed(Addresses addresses);
        error AddressMismatch(address expected, address deployed);
        function addresses() external view returns (Addresses memory);
    }

    /// Inside an EVM environment, at 0xA701100000000000000000000000000000000001.
    interface ITestToken {
        function mint(address to, uint256 amount) external;
    }

    interface IEnvironmentBridge {
        event MessageSent(uint32 indexed destination, address indexed token, address indexed from, address to, uint256 amount);
        event TokenCreated(address indexed token, address bridged);
        error NotSystem(address caller);
        error ZeroAddress();
        error ZeroAmount();
        error WrongValue(uint256 expected, uint256 given);
        error UnknownToken(address token);
        function SYSTEM() external view returns (address);
        function send(uint32 destination, address token, address to, uint256 amount) external payable;
        function receiveToken(address token, string calldata name, string calldata symbol, uint8 decimals, address to, uint256 amount) external;
        function tokenOf(address token) external view returns (address);
    }

    /// A token of the hub inside an EVM environment; an ERC-20 besides.
    interface IBridgedToken {
        error NotBridge(address caller);
        error AlreadyInitialised();
        function bridge() external view returns (address);
        function hubToken() external view returns (address);
        function initialize(address token, string calldata name_, string calldata symbol_, uint8 decimals_) external;
        function mint(address to, uint256 amount) external;
        function burn(address from, uint256 amount) external;
    }

    interface IOwnable {
        function owner() external view returns (address);
    }

    interface IERC20 {
        event Transfer(address indexed from, address indexed to, uint256 value);
        event Approval(address indexed owner, address indexed spender, uint256 value);
        error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
        error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
        function name() external view returns (string memory);
        function symbol() external view returns (string memory);
        function decimals() external view returns (uint8);
        function totalSupply() external view returns (uint256);
        function balanceOf(address account) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
        function approve(address spender, uint256 amount) external returns (bool);
        function transfer(address to, uint256 amount) external returns (bool);
        function transferFrom(address from, address to, uint256 amount) external returns (bool);
    }
}

/// An error of a contract in words, with its arguments; the bytes themselves if nobody knows it.
pub fn explain(data: &[u8]) -> String {
    if data.is_empty() {
        return "the call reverted without a reason".into();
    }
    if let Ok(revert) = Revert::abi_decode(data) {
        return revert.reason;
    }
    if let Ok(panic) = Panic::abi_decode(data) {
        return format!("the contract panicked: {panic}");
    }
    let named = IAnchor::IAnchorErrors::abi_decode(data)
        .map(|error| format!("Anchor: {error:?}"))
        .or_else(|_| IBridge::IBridgeErrors::abi_decode(data).map(|e| format!("Bridge: {e:?}")))
        .or_else(|_| {
            IHubQueue::IHubQueueErrors::abi_decode(data).map(|e| format!("HubQueue: {e:?}"))
        })
        .or_else(|_| {
            IRegistry::IRegistryErrors::abi_decode(data).map(|e| format!("Registry: {e:?}"))
        })
        .or_else(|_| {
            IEscapeHatch::IEscapeHatchErrors::abi_decode(data)
                .map(|e| format!("EscapeHatch: {e:?}"))
        })
        .or_else(|_| {
            IEnvironmentBridge::IEnvironmentBridgeErrors::abi_decode(data)
                .map(|e| format!("EnvironmentBridge: {e:?}"))
        })
        .or_else(|_| {
            IBridgedToken::IBridgedTokenErrors::abi_decode(data)
                .map(|e| format!("BridgedToken: {e:?}"))
        })
        .or_else(|_| IERC20::IERC20Errors::abi_decode(data).map(|e| format!("token: {e:?}")));
    named.unwrap_or_else(|_| {
        let shown = &data[..data.len().min(68)];
        format!("the call reverted with {}", alloy_primitives::hex::encode_prefixed(shown))
    })
}
