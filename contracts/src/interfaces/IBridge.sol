// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {NetTransfer, Withdrawal} from "../Types.sol";

/// @title Holds the money: escrow per environment and token
interface IBridge {
    /// @notice A deposit; `index` is its place in the hub queue.
    event Deposited(
        uint64 indexed index,
        uint32 indexed environment,
        address indexed token,
        address from,
        address to,
        uint256 amount
    );
    /// @notice Escrow without a queue entry: genesis balances and donations.
    event Funded(uint32 indexed environment, address indexed token, address from, uint256 amount);
    /// @notice A withdrawal was paid.
    event Claimed(
        uint64 indexed index,
        uint32 indexed environment,
        address indexed token,
        address to,
        uint256 amount,
        uint64 commitment
    );
    /// @notice The escape hatch paid an exit or a refund.
    event Released(uint32 indexed environment, address indexed token, address indexed to, uint256 amount);
    /// @notice Net transfers changed an environment's escrow.
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
    /// @notice Ether was sent along with a token, or not as much as was named.
    error WrongValue(uint256 expected, uint256 given);
    error NotAMultiple(uint256 amount, uint256 unit);
    error EnvironmentPaused(uint32 environment, uint64 until);
    /// @notice The token takes a fee on transfer.
    error TransferFeeToken(address token, uint256 sent, uint256 received);
    /// @notice The token's balance shrank without a transfer.
    error BalanceBelowEscrow(address token, uint256 balance, uint256 accounted);
    error EscrowExceeded(uint32 environment, address token, uint256 escrow, uint256 amount);
    /// @notice The commitment has fewer withdrawals.
    error NoSuchWithdrawal(uint64 index, uint64 count);
    /// @notice The withdrawal is not as it was made, or the proof is not of it.
    error BadProof(uint64 index);
    error AlreadyClaimed(uint64 index);
    error RateLimited(address token, uint256 available, uint256 amount);
    error PaymentFailed(address to, uint256 amount);
    error AlreadyPaused(uint32 environment, uint64 until);
    error PauseCoolingDown(uint32 environment, uint64 until);
    error NotPaused(uint32 environment);
    error BridgeClosed();

    /// @notice Deposits ether for `to` in an environment.
    function depositETH(uint32 environment, address to) external payable returns (uint64 index);

    /// @notice Deposits an ERC-20 for `to` in an environment.
    function deposit(uint32 environment, address token, address to, uint256 amount) external returns (uint64 index);

    /// @notice Adds to an environment's escrow without a queue entry: its genesis balances, or a gift.
    function fund(uint32 environment, address token, uint256 amount) external payable;

    /// @notice Pays a withdrawal of a settled commitment to its receiver.
    function claim(uint64 commitment, Withdrawal calldata w, bytes32[32] calldata proof) external;

    /// @notice Takes what leaves from escrow. Anchor only.
    function applyDebits(NetTransfer[] calldata t) external;

    /// @notice Adds what arrived to escrow. Anchor only.
    function applyCredits(NetTransfer[] calldata t) external;

    /// @notice Gives back what a rejected commitment took. Anchor only.
    function undoDebits(NetTransfer[] calldata t) external;

    /// @notice Pays an exit or a refund. Hatch only.
    function release(uint32 environment, address token, address to, uint256 amount) external;

    /// @notice Stops deposits and claims of an environment for the longest pause. Guardian only.
    function pause(uint32 environment) external;

    /// @notice Ends a pause. Guardian or timelock.
    function unpause(uint32 environment) external;

    /// @notice Replaces the guardian. Timelock only.
    function setGuardian(address guardian) external;

    /// @notice Limits claims of a token; capacity zero: no limit. Timelock only.
    function setRateLimit(address token, uint128 capacity, uint128 refillPerSecond) external;

    /// @notice What an environment holds of a token.
    function escrow(uint32 environment, address token) external view returns (uint256);

    /// @notice What was claimed so far.
    function claimed(uint32 environment, address token) external view returns (uint256);

    /// @notice What has left one escrow and not reached the other.
    function pendingCredits(address token) external view returns (uint256);

    /// @notice What the bridge must hold: all escrow and pending credits.
    function accounted(address token) external view returns (uint256);

    /// @notice Whether a withdrawal was paid.
    function isClaimed(uint64 index) external view returns (bool);

    /// @notice Until when an environment is paused; zero or past: it is not.
    function pausedUntil(uint32 environment) external view returns (uint64);
}
