// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Entry, Ledger, Statement} from "../Types.sol";

/// @notice A statement and its place in the last settled commitment.
struct ProvenStatement {
    Statement statement;
    uint256 index;
    bytes32[] proof;
}

/// @notice What is paid for an environment and token.
/// @param root The environment's state root.
/// @param total Sum of all claims.
/// @param pool What is there for them: at most `total`.
/// @param paid Paid so far.
/// @param tokenContract Where an EVM environment keeps balances; zero for its native currency.
struct Exit {
    bytes32 root;
    uint256 total;
    uint256 pool;
    uint256 paid;
    address tokenContract;
    uint8 vmKind;
    bool opened;
}

/// @title The way out when nobody anchors any more
interface IEscapeHatch {
    /// @notice The snapshot exit is open, for good.
    event Opened(uint64 indexed commitment);
    /// @notice What is paid for an environment and token was fixed.
    event ExitOpened(uint32 indexed environment, address indexed token, uint256 total, uint256 pool);
    /// @notice An account was paid.
    event Exited(
        uint32 indexed environment, address indexed token, address indexed account, uint256 claim, uint256 paid
    );
    /// @notice A deposit that no settled slot consumed went back.
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

    /// @notice Opens the snapshot exit after silence and derivation. Final.
    function open() external;

    /// @notice Fixes what is paid for an environment and token.
    /// @param token A token; zero is ether.
    /// @param router The router's statement.
    /// @param environment The environment's statement.
    /// @param ledger The environment's ledger of the token.
    /// @param ledgerSiblings Its proof in the router's state.
    /// @param total `ClaimTotal` of the token; ignored for an EVM environment.
    /// @param totalSiblings Its proof in the environment's state.
    function openExit(
        address token,
        ProvenStatement calldata router,
        ProvenStatement calldata environment,
        Ledger calldata ledger,
        bytes32[] calldata ledgerSiblings,
        uint256 total,
        bytes32[] calldata totalSiblings
    ) external;

    /// @notice Pays an account what the last settled state owes it, pro rata.
    /// @param object The value of its claim, account or storage slot object.
    /// @param siblings The object's proof in the environment's state.
    function exit(
        uint32 environment,
        address token,
        address account,
        bytes calldata object,
        bytes32[] calldata siblings
    ) external;

    /// @notice Pays a deposit back that no settled slot consumed.
    function refundDeposit(Entry calldata entry) external;

    /// @notice Whether the snapshot exit is open.
    function isOpen() external view returns (bool);

    /// @notice What is paid for an environment and token.
    function exitOf(uint32 environment, address token) external view returns (Exit memory);

    /// @notice Whether an account was paid.
    function hasExited(uint32 environment, address token, address account) external view returns (bool);

    /// @notice Whether a deposit went back.
    function isRefunded(uint64 index) external view returns (bool);
}
