// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Deposits and forced transactions, in one order with a running hash
interface IHubQueue {
    /// @notice A new entry; `queueHash` is the running hash behind it.
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
    /// @notice The queue takes nothing more.
    event Closed();

    error NotBridge(address caller);
    error NotAnchor(address caller);
    error QueueClosed();
    error NoData();
    error TooMuchData(uint256 given, uint256 max);
    error BeyondQueue(uint64 cursor, uint64 length);

    /// @notice Forces a signed transaction of `environment` into the order.
    /// @param data The transaction, at most 32 KiB.
    function force(uint32 environment, bytes calldata data) external returns (uint64 index);

    /// @notice Appends a deposit. Bridge only.
    function pushDeposit(uint32 environment, address from, address to, address token, uint256 amount)
        external
        returns (uint64 index);

    /// @notice Takes nothing more. Anchor only.
    function close() external;

    /// @notice Number of entries.
    function length() external view returns (uint64);

    /// @notice Whether the queue takes nothing more.
    function closed() external view returns (bool);

    /// @notice Running hash behind the first `cursor` entries.
    function hashAt(uint64 cursor) external view returns (bytes32);

    /// @notice When an entry came, seconds.
    function timeAt(uint64 index) external view returns (uint64);

    /// @notice What a commitment's cursor is checked against: length, running hash at the cursor,
    /// and the time of the entry at the cursor (zero if there is none).
    function checkpoint(uint64 cursor) external view returns (uint64 entries, bytes32 hash, uint64 nextTime);

    /// @notice Sum of the deposits of a token into an environment among the first `cursor` entries.
    function depositsBefore(uint32 environment, address token, uint64 cursor) external view returns (uint256);

    /// @notice Sum of all deposits of a token into an environment.
    function deposits(uint32 environment, address token) external view returns (uint256);
}
