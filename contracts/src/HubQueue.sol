// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {IHubQueue} from "./interfaces/IHubQueue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Words} from "./lib/Words.sol";
import {Addresses} from "./Types.sol";

/// @title Deposits and forced transactions, in one order with a running hash
/// @notice Append only. What is kept per entry is the running hash and the time; per environment
/// and token the sum of deposits by index, so that a snapshot exit knows what was not consumed.
contract HubQueue is IHubQueue, Initializable {
    using Checkpoints for Checkpoints.Trace208;

    uint256 public constant MAX_DATA_BYTES = 32 * 1024;

    address public bridge;
    uint64 private _length;
    bool public closed;
    address public anchor;
    IRegistry public registry;
    /// @dev Running hash behind the first n entries.
    mapping(uint64 => bytes32) private _hashes;
    /// @dev Times of entries, four to a word.
    mapping(uint64 => uint256) private _times;
    mapping(uint32 => mapping(address => Checkpoints.Trace208)) private _deposits;

    constructor() {
        _disableInitializers();
    }

    function initialize(Addresses calldata a) external initializer {
        bridge = a.bridge;
        anchor = a.anchor;
        registry = IRegistry(a.registry);
    }

    /// @inheritdoc IHubQueue
    function force(uint32 environment, bytes calldata data) external returns (uint64 index) {
        if (data.length == 0) revert NoData();
        if (data.length > MAX_DATA_BYTES) revert TooMuchData(data.length, MAX_DATA_BYTES);
        registry.requireLive(environment);
        return _push(Words.FORCED, environment, msg.sender, address(0), address(0), 0, data);
    }

    /// @inheritdoc IHubQueue
    function pushDeposit(uint32 environment, address from, address to, address token, uint256 amount)
        external
        returns (uint64 index)
    {
        if (msg.sender != bridge) revert NotBridge(msg.sender);
        index = _push(Words.DEPOSIT, environment, from, to, token, amount, msg.data[:0]);
        Checkpoints.Trace208 storage sums = _deposits[environment][token];
        sums.push(SafeCast.toUint48(index), SafeCast.toUint208(sums.latest() + amount));
    }

    function _push(
        uint8 kind,
        uint32 environment,
        address from,
        address to,
        address token,
        uint256 amount,
        bytes calldata data
    ) private returns (uint64 index) {
        if (closed) revert QueueClosed();
        index = _length;
        _length = index + 1;
        uint64 time = uint64(block.timestamp);
        bytes32 entry = Words.entry(index, kind, environment, from, to, token, amount, sha256(data), time);
        bytes32 hash = Words.queue(_hashes[index], entry);
        _hashes[index + 1] = hash;
        _times[index / 4] |= uint256(time) << (64 * (index % 4));
        emit Enqueued(index, kind, environment, from, to, token, amount, data, time, hash);
    }

    /// @inheritdoc IHubQueue
    function close() external {
        if (msg.sender != anchor) revert NotAnchor(msg.sender);
        closed = true;
        emit Closed();
    }

    /// @inheritdoc IHubQueue
    function length() external view returns (uint64) {
        return _length;
    }

    /// @inheritdoc IHubQueue
    function hashAt(uint64 cursor) public view returns (bytes32) {
        if (cursor > _length) revert BeyondQueue(cursor, _length);
        return _hashes[cursor];
    }

    /// @inheritdoc IHubQueue
    function timeAt(uint64 index) public view returns (uint64) {
        if (index >= _length) revert BeyondQueue(index, _length);
        return uint64(_times[index / 4] >> (64 * (index % 4)));
    }

    /// @inheritdoc IHubQueue
    function checkpoint(uint64 cursor) external view returns (uint64 entries, bytes32 hash, uint64 nextTime) {
        entries = _length;
        if (cursor <= entries) hash = _hashes[cursor];
        if (cursor < entries) nextTime = timeAt(cursor);
    }

    /// @inheritdoc IHubQueue
    function depositsBefore(uint32 environment, address token, uint64 cursor) external view returns (uint256) {
        if (cursor == 0) return 0;
        return _deposits[environment][token].upperLookupRecent(SafeCast.toUint48(cursor - 1));
    }

    /// @inheritdoc IHubQueue
    function deposits(uint32 environment, address token) external view returns (uint256) {
        return _deposits[environment][token].latest();
    }
}
