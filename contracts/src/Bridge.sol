// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {IAnchor} from "./interfaces/IAnchor.sol";
import {IBridge} from "./interfaces/IBridge.sol";
import {IHubQueue} from "./interfaces/IHubQueue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {WithdrawalTree} from "./lib/WithdrawalTree.sol";
import {Words} from "./lib/Words.sol";
import {Addresses, BridgeConfig, NetTransfer, Withdrawal} from "./Types.sol";

/// @title Holds the money: escrow per environment and token
/// @notice Invariant, per token: all escrow plus pending credits = `accounted` ≤ balance. Nothing
/// is paid but from the escrow of the environment it leaves. The zero address is ether.
contract Bridge is IBridge, Initializable, ReentrancyGuardTransient {
    using BitMaps for BitMaps.BitMap;
    using SafeERC20 for IERC20;

    /// @notice A token bucket: `available` grows by `refillPerSecond` up to `capacity`.
    struct RateLimit {
        uint128 capacity;
        uint128 refillPerSecond;
        uint128 available;
        uint64 updated;
    }

    address private constant ETHER = address(0);

    address public timelock;
    address public guardian;
    IRegistry public registry;
    IHubQueue public queue;
    IAnchor public anchor;
    address public hatch;
    BridgeConfig public config;
    mapping(uint32 => mapping(address => uint256)) public escrow;
    mapping(uint32 => mapping(address => uint256)) public claimed;
    mapping(address => uint256) public pendingCredits;
    mapping(address => uint256) public accounted;
    mapping(uint32 => uint64) public pausedUntil;
    mapping(uint32 => uint64) public pausableFrom;
    mapping(address => RateLimit) public rateLimit;
    BitMaps.BitMap private _claimed;

    modifier onlyTimelock() {
        if (msg.sender != timelock) revert NotTimelock(msg.sender);
        _;
    }

    modifier onlyAnchor() {
        if (msg.sender != address(anchor)) revert NotAnchor(msg.sender);
        _;
    }

    constructor() {
        _disableInitializers();
    }

    function initialize(Addresses calldata a, BridgeConfig calldata c) external initializer {
        timelock = a.timelock;
        guardian = a.guardian;
        registry = IRegistry(a.registry);
        queue = IHubQueue(a.queue);
        anchor = IAnchor(a.anchor);
        hatch = a.hatch;
        config = c;
        emit GuardianSet(a.guardian);
    }

    // ---- in ----

    /// @inheritdoc IBridge
    function depositETH(uint32 environment, address to) external payable nonReentrant returns (uint64 index) {
        return _deposit(environment, ETHER, to, msg.value);
    }

    /// @inheritdoc IBridge
    function deposit(uint32 environment, address token, address to, uint256 amount)
        external
        nonReentrant
        returns (uint64 index)
    {
        if (token == ETHER) revert WrongValue(amount, 0);
        return _deposit(environment, token, to, amount);
    }

    function _deposit(uint32 environment, address token, address to, uint256 amount) private returns (uint64 index) {
        if (to == address(0)) revert ZeroAddress();
        if (amount == 0) revert ZeroAmount();
        _requireNotPaused(environment);
        uint256 unit = registry.depositUnit(environment, token);
        if (amount % unit != 0) revert NotAMultiple(amount, unit);
        _take(environment, token, amount);
        index = queue.pushDeposit(environment, msg.sender, to, token, amount);
        emit Deposited(index, environment, token, msg.sender, to, amount);
    }

    /// @inheritdoc IBridge
    function fund(uint32 environment, address token, uint256 amount) external payable nonReentrant {
        if (amount == 0) revert ZeroAmount();
        uint256 expected = token == ETHER ? amount : 0;
        if (msg.value != expected) revert WrongValue(expected, msg.value);
        registry.requireKnown(environment);
        if (queue.closed()) revert BridgeClosed();
        _take(environment, token, amount);
        emit Funded(environment, token, msg.sender, amount);
    }

    /// @dev Takes the money, then books it: a token that calls back meets the guard, and what is
    /// booked is what came.
    function _take(uint32 environment, address token, uint256 amount) private {
        uint256 total = accounted[token] + amount;
        if (token != ETHER) {
            IERC20 erc20 = IERC20(token);
            uint256 before = erc20.balanceOf(address(this));
            erc20.safeTransferFrom(msg.sender, address(this), amount);
            uint256 balance = erc20.balanceOf(address(this));
            uint256 received = balance > before ? balance - before : 0;
            if (received != amount) revert TransferFeeToken(token, amount, received);
            if (balance < total) revert BalanceBelowEscrow(token, balance, total);
        }
        accounted[token] = total;
        escrow[environment][token] += amount;
    }

    // ---- between ----

    /// @inheritdoc IBridge
    function applyDebits(NetTransfer[] calldata t) external onlyAnchor {
        for (uint256 i = 0; i < t.length; ++i) {
            if (t[i].delta >= 0) continue;
            (uint32 environment, address token) = (t[i].environment, t[i].token);
            uint256 amount = SignedMath.abs(t[i].delta);
            _spend(environment, token, amount);
            pendingCredits[token] += amount;
            emit EscrowMoved(environment, token, t[i].delta);
        }
    }

    /// @inheritdoc IBridge
    function applyCredits(NetTransfer[] calldata t) external onlyAnchor {
        for (uint256 i = 0; i < t.length; ++i) {
            if (t[i].delta <= 0) continue;
            uint256 amount = uint256(t[i].delta);
            pendingCredits[t[i].token] -= amount;
            escrow[t[i].environment][t[i].token] += amount;
            emit EscrowMoved(t[i].environment, t[i].token, t[i].delta);
        }
    }

    /// @inheritdoc IBridge
    function undoDebits(NetTransfer[] calldata t) external onlyAnchor {
        for (uint256 i = 0; i < t.length; ++i) {
            if (t[i].delta >= 0) continue;
            uint256 amount = SignedMath.abs(t[i].delta);
            pendingCredits[t[i].token] -= amount;
            escrow[t[i].environment][t[i].token] += amount;
            emit EscrowMoved(t[i].environment, t[i].token, -t[i].delta);
        }
    }

    function _spend(uint32 environment, address token, uint256 amount) private {
        uint256 held = escrow[environment][token];
        if (amount > held) revert EscrowExceeded(environment, token, held, amount);
        escrow[environment][token] = held - amount;
    }

    // ---- out ----

    /// @inheritdoc IBridge
    function claim(uint64 commitment, Withdrawal calldata w, bytes32[32] calldata proof) external nonReentrant {
        (bytes32 root, uint64 count) = anchor.settledWithdrawals(commitment);
        if (w.index >= count) revert NoSuchWithdrawal(w.index, count);
        if (!WithdrawalTree.verify(root, Words.withdrawal(w), w.index, proof)) {
            // The leaf binds all of it, so a hash does not say what is wrong; the registry does where
            // there is no such environment, or no such token in it.
            registry.depositUnit(w.environment, w.token);
            revert BadProof(w.index);
        }
        if (_claimed.get(w.index)) revert AlreadyClaimed(w.index);
        _requireNotPaused(w.environment);
        _consume(w.token, w.amount);
        _claimed.set(w.index);
        claimed[w.environment][w.token] += w.amount;
        if (w.token != ETHER) {
            // What is left after a negative rebase belongs to everyone, not to whoever is first.
            uint256 balance = IERC20(w.token).balanceOf(address(this));
            if (balance < accounted[w.token]) revert BalanceBelowEscrow(w.token, balance, accounted[w.token]);
        }
        _give(w.environment, w.token, w.to, w.amount);
        emit Claimed(w.index, w.environment, w.token, w.to, w.amount, commitment);
    }

    /// @inheritdoc IBridge
    function release(uint32 environment, address token, address to, uint256 amount) external nonReentrant {
        if (msg.sender != hatch) revert NotHatch(msg.sender);
        _give(environment, token, to, amount);
        emit Released(environment, token, to, amount);
    }

    function _give(uint32 environment, address token, address to, uint256 amount) private {
        _spend(environment, token, amount);
        accounted[token] -= amount;
        if (token == ETHER) {
            (bool ok,) = to.call{value: amount}("");
            if (!ok) revert PaymentFailed(to, amount);
        } else {
            IERC20(token).safeTransfer(to, amount);
        }
    }

    /// @dev Takes from a token's bucket, if it has one. A claim above the capacity waits until the
    /// timelock raises it.
    function _consume(address token, uint256 amount) private {
        RateLimit storage limit = rateLimit[token];
        if (limit.capacity == 0) return;
        uint256 available = _available(limit);
        if (amount > available) revert RateLimited(token, available, amount);
        limit.available = uint128(available - amount);
        limit.updated = uint64(block.timestamp);
    }

    function _available(RateLimit storage limit) private view returns (uint256) {
        uint256 refill = (block.timestamp - limit.updated) * limit.refillPerSecond;
        return Math.min(limit.capacity, limit.available + refill);
    }

    // ---- brakes ----

    function _requireNotPaused(uint32 environment) private view {
        uint64 until = pausedUntil[environment];
        if (block.timestamp < until) revert EnvironmentPaused(environment, until);
    }

    /// @inheritdoc IBridge
    function pause(uint32 environment) external {
        if (msg.sender != guardian) revert NotGuardian(msg.sender);
        registry.requireKnown(environment);
        uint64 until = pausedUntil[environment];
        if (block.timestamp < until) revert AlreadyPaused(environment, until);
        uint64 from = pausableFrom[environment];
        if (block.timestamp < from) revert PauseCoolingDown(environment, from);
        until = uint64(block.timestamp) + config.maxPause;
        pausedUntil[environment] = until;
        pausableFrom[environment] = until + config.pauseCooldown;
        emit Paused(environment, until);
    }

    /// @inheritdoc IBridge
    function unpause(uint32 environment) external {
        if (msg.sender != guardian && msg.sender != timelock) revert NotGuardian(msg.sender);
        if (block.timestamp >= pausedUntil[environment]) revert NotPaused(environment);
        pausedUntil[environment] = 0;
        emit Unpaused(environment);
    }

    /// @inheritdoc IBridge
    function setGuardian(address newGuardian) external onlyTimelock {
        guardian = newGuardian;
        emit GuardianSet(newGuardian);
    }

    /// @inheritdoc IBridge
    function setRateLimit(address token, uint128 capacity, uint128 refillPerSecond) external onlyTimelock {
        rateLimit[token] = RateLimit(capacity, refillPerSecond, capacity, uint64(block.timestamp));
        emit RateLimitSet(token, capacity, refillPerSecond);
    }

    /// @notice What may be claimed of a token now; the largest number if it is not limited.
    function claimable(address token) external view returns (uint256) {
        RateLimit storage limit = rateLimit[token];
        return limit.capacity == 0 ? type(uint256).max : _available(limit);
    }

    /// @inheritdoc IBridge
    function isClaimed(uint64 index) external view returns (bool) {
        return _claimed.get(index);
    }
}
