// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {IAnchor} from "./interfaces/IAnchor.sol";
import {IBridge} from "./interfaces/IBridge.sol";
import {Exit, IEscapeHatch, ProvenStatement} from "./interfaces/IEscapeHatch.sol";
import {IHubQueue} from "./interfaces/IHubQueue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {MerkleRfc6962} from "./lib/MerkleRfc6962.sol";
import {StateObjects} from "./lib/StateObjects.sol";
import {StateProof} from "./lib/StateProof.sol";
import {Words} from "./lib/Words.sol";
import {Addresses, Entry, Ledger, Record, VmKind} from "./Types.sol";

/// @title The way out when nobody anchors any more
/// @notice Opening it is final: the last settled commitment is what everyone is paid by. First its
/// withdrawals (by claim), then deposits that no settled slot consumed, and from what is left each
/// account its part. What a contract of an EVM environment holds is paid to the same address on
/// the hub.
contract EscapeHatch is IEscapeHatch, Initializable, ReentrancyGuardTransient {
    using BitMaps for BitMaps.BitMap;

    IRegistry public registry;
    IAnchor public anchor;
    IBridge public bridge;
    IHubQueue public queue;
    mapping(uint32 => mapping(address => Exit)) private _exits;
    mapping(uint32 => mapping(address => mapping(address => bool))) public hasExited;
    mapping(uint32 => mapping(address => uint256)) public refunded;
    BitMaps.BitMap private _refunded;

    modifier whenOpen() {
        if (!anchor.closed()) revert NotOpen();
        uint64 from = anchor.unwindFrom();
        if (from != 0) revert UnwindPending(from);
        _;
    }

    constructor() {
        _disableInitializers();
    }

    function initialize(Addresses calldata a) external initializer {
        registry = IRegistry(a.registry);
        anchor = IAnchor(a.anchor);
        bridge = IBridge(a.bridge);
        queue = IHubQueue(a.queue);
    }

    /// @inheritdoc IEscapeHatch
    function open() external nonReentrant {
        anchor.close();
        emit Opened(anchor.lastSettled());
    }

    /// @inheritdoc IEscapeHatch
    function openExit(
        address token,
        ProvenStatement calldata router,
        ProvenStatement calldata environment,
        Ledger calldata ledger,
        bytes32[] calldata ledgerSiblings,
        uint256 total,
        bytes32[] calldata totalSiblings
    ) external nonReentrant whenOpen {
        uint32 id = environment.statement.environment;
        if (_exits[id][token].opened) revert ExitAlreadyOpen(id, token);
        if (router.statement.environment != 0) revert NotTheRouter(router.statement.environment);
        uint64 number = anchor.lastSettled();
        if (number == 0) revert NothingSettled();
        Record memory r = anchor.record(number);
        _requireSettled(number, r, router);
        _requireSettled(number, r, environment);
        if (
            !StateProof.verify(
                router.statement.postRoot,
                StateObjects.ledgerKey(id, token),
                StateObjects.ledgerValue(ledger),
                ledgerSiblings
            )
        ) revert BadStateProof();

        Exit storage e = _exits[id][token];
        VmKind kind = registry.versionAt(id, r.lastSlot).vmKind;
        if (kind == VmKind.Exchange) {
            bytes memory key = StateObjects.claimTotalKey(token);
            if (!StateProof.verify(environment.statement.postRoot, key, abi.encode(total), totalSiblings)) {
                revert BadStateProof();
            }
            e.total = total;
        } else if (kind == VmKind.Evm) {
            e.total = ledger.deposits + ledger.inflow - ledger.outflow - ledger.withdrawals;
            if (token != address(0)) e.tokenContract = StateObjects.bridgedToken(token);
        } else {
            revert NoSnapshotExit(uint8(kind));
        }
        (e.root, e.vmKind, e.opened) = (environment.statement.postRoot, uint8(kind), true);
        e.pool = Math.min(_available(id, token, ledger.withdrawals, r.cursor), e.total);
        emit ExitOpened(id, token, e.total, e.pool);
    }

    function _requireSettled(uint64 number, Record memory r, ProvenStatement calldata p) private view {
        bytes32 hash = anchor.statementHash(number, p.statement);
        if (!MerkleRfc6962.verify(r.statementsRoot, hash, p.index, r.statements, p.proof)) {
            revert StatementNotSettled(p.statement.environment);
        }
    }

    /// @dev Escrow less settled withdrawals that were not claimed yet, less deposits that no
    /// settled slot consumed and that did not go back yet.
    function _available(uint32 environment, address token, uint256 withdrawals, uint64 cursor)
        private
        view
        returns (uint256)
    {
        uint256 reserve = Math.saturatingSub(withdrawals, bridge.claimed(environment, token));
        uint256 unconsumed = queue.deposits(environment, token)
            - queue.depositsBefore(environment, token, cursor) - refunded[environment][token];
        return Math.saturatingSub(bridge.escrow(environment, token), Math.saturatingAdd(reserve, unconsumed));
    }

    /// @inheritdoc IEscapeHatch
    function exit(
        uint32 environment,
        address token,
        address account,
        bytes calldata object,
        bytes32[] calldata siblings
    ) external nonReentrant whenOpen {
        Exit storage e = _exits[environment][token];
        if (!e.opened) revert ExitNotOpen(environment, token);
        if (hasExited[environment][token][account]) revert AlreadyExited(environment, token, account);
        (bytes memory key, uint256 amount) = _read(e, token, account, object);
        if (!StateProof.verify(e.root, key, object, siblings)) revert BadStateProof();
        if (amount == 0 || e.total == 0) revert NothingToPay();
        uint256 payout = Math.mulDiv(amount, e.pool, e.total);
        uint256 left = e.pool - e.paid;
        if (payout > left) revert PoolExhausted(left, payout);
        e.paid += payout;
        hasExited[environment][token][account] = true;
        emit Exited(environment, token, account, amount, payout);
        bridge.release(environment, token, account, payout);
    }

    /// @dev Key of an account's object, and the amount in it.
    function _read(Exit storage e, address token, address account, bytes calldata object)
        private
        view
        returns (bytes memory key, uint256 amount)
    {
        if (e.vmKind == uint8(VmKind.Exchange)) {
            return (StateObjects.claimKey(account, token), StateObjects.word(object));
        }
        if (token == address(0)) {
            return (StateObjects.accountKey(account), StateObjects.accountBalance(object));
        }
        key = StateObjects.slotKey(e.tokenContract, StateObjects.balanceSlot(account));
        amount = StateObjects.slotValue(object);
    }

    /// @inheritdoc IEscapeHatch
    function refundDeposit(Entry calldata entry) external nonReentrant whenOpen {
        uint64 index = entry.index;
        if (entry.kind != Words.DEPOSIT) revert NotADeposit(index);
        uint64 number = anchor.lastSettled();
        uint64 cursor = number == 0 ? 0 : anchor.record(number).cursor;
        if (index < cursor) revert AlreadyConsumed(index, cursor);
        if (index >= queue.length()) revert NotInQueue(index);
        if (_refunded.get(index)) revert AlreadyRefunded(index);
        if (Words.queue(queue.hashAt(index), Words.entry(entry)) != queue.hashAt(index + 1)) revert NotInQueue(index);
        _refunded.set(index);
        refunded[entry.environment][entry.token] += entry.amount;
        emit Refunded(index, entry.environment, entry.token, entry.from, entry.amount);
        bridge.release(entry.environment, entry.token, entry.from, entry.amount);
    }

    /// @inheritdoc IEscapeHatch
    function isOpen() external view returns (bool) {
        return anchor.closed();
    }

    /// @inheritdoc IEscapeHatch
    function exitOf(uint32 environment, address token) external view returns (Exit memory) {
        return _exits[environment][token];
    }

    /// @inheritdoc IEscapeHatch
    function isRefunded(uint64 index) external view returns (bool) {
        return _refunded.get(index);
    }
}
