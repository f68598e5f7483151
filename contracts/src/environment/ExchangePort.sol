// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IExchange} from "./IExchange.sol";

/// @title The port to the exchange environment
/// @notice Stands at 0xa701100000000000000000000000000000000004 from genesis on. Each `ActionSent` is a
/// message of the slot; observations of the exchange come in through `receiveObservation`. Functions
/// are documented in IExchange.
contract ExchangePort is IExchange {
    /// @dev What each observation of it writes in full fits one slot, or two for an account.
    struct MarketRecord {
        uint80 oracle;
        uint80 mark;
        uint8 state;
        uint40 slot;
        uint40 time;
    }

    struct AccountRecord {
        int128 value;
        uint40 slot;
        uint40 time;
        uint40 received;
        bool exists;
        uint256 free;
    }

    struct PositionRecord {
        int80 size;
        int96 entryNotional;
        uint40 slot;
        uint40 time;
    }

    struct BalanceRecord {
        uint176 amount;
        uint40 slot;
        uint40 time;
    }

    /// @dev As the exchange encodes them.
    struct ObservedMarket {
        uint32 asset;
        uint128 oracle;
        uint128 mark;
        uint8 state;
    }

    struct ObservedPosition {
        uint32 asset;
        int256 size;
        int256 entryNotional;
    }

    struct ObservedBalance {
        address token;
        uint256 amount;
    }

    /// @notice Whom the VM calls as.
    address public constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;
    /// @notice Most bytes of one action: what a message carries.
    uint256 public constant ACTION_BYTES_MAX = 8192;
    /// @notice Gas that an action uses for what the exchange does with it, and for each of its bytes:
    /// the exchange charges none.
    uint256 public constant ACTION_GAS = 25_000;
    uint256 public constant ACTION_BYTE_GAS = 32;
    /// @notice Most assets, and most tokens, of one observation of an account.
    uint256 public constant OBSERVED_MAX = 8;
    uint256 private constant OBSERVATION_GAS = 80_000;
    uint256 private constant OBSERVATION_ENTRY_GAS = 26_000;

    uint24 private constant LIMIT_ORDER = 1;
    uint24 private constant MOVE_BETWEEN_WALLETS = 7;
    uint24 private constant APPROVE_AGENT = 9;
    uint24 private constant CANCEL_ORDER = 10;
    uint24 private constant CANCEL_BY_CLIENT_ID = 11;
    uint24 private constant SEND = 0x100;
    uint24 private constant OBSERVE = 0x101;

    /// @dev Slot 0, written by the genesis: the exchange's number above this environment's.
    uint32 private _own;
    uint32 private _exchange;
    mapping(uint32 asset => MarketRecord) private _markets;
    mapping(address account => AccountRecord) private _accounts;
    mapping(address account => mapping(uint32 asset => PositionRecord)) private _positions;
    mapping(address account => mapping(address token => BalanceRecord)) private _balances;

    function placeLimitOrder(
        uint32 asset,
        bool isBuy,
        uint64 limitPx,
        uint64 sz,
        bool reduceOnly,
        Tif tif,
        uint128 cloid
    ) external {
        _act(LIMIT_ORDER, abi.encode(asset, isBuy, limitPx, sz, reduceOnly, tif, cloid));
    }

    function cancelOrder(uint32 asset, uint64 oid) external {
        _act(CANCEL_ORDER, abi.encode(asset, oid));
    }

    function cancelByClientId(uint32 asset, uint128 cloid) external {
        _act(CANCEL_BY_CLIENT_ID, abi.encode(asset, cloid));
    }

    function moveBetweenWallets(uint64 amount, bool toPerp) external {
        _act(MOVE_BETWEEN_WALLETS, abi.encode(amount, toPerp));
    }

    function approveAgent(address agent, uint64 validUntilMs) external {
        _act(APPROVE_AGENT, abi.encode(agent, validUntilMs));
    }

    function send(uint32 destination, address to, address token, bool spotWallet, uint128 amount) external {
        _act(SEND, abi.encode(destination, to, token, spotWallet, amount));
    }

    function act(bytes calldata data) external {
        if (data.length > ACTION_BYTES_MAX) revert TooLong(ACTION_BYTES_MAX, data.length);
        if (bytes4(data) == _header(OBSERVE)) revert UseObserve();
        _emit(data);
    }

    function observe(address who, uint32[] calldata assets, address[] calldata tokens) external {
        if (assets.length > OBSERVED_MAX) revert TooLong(OBSERVED_MAX, assets.length);
        if (tokens.length > OBSERVED_MAX) revert TooLong(OBSERVED_MAX, tokens.length);
        _burn(observationGas(assets.length, tokens.length));
        bytes memory words = abi.encode(who, assets.length);
        for (uint256 i = 0; i < assets.length; ++i) words = bytes.concat(words, abi.encode(assets[i]));
        words = bytes.concat(words, abi.encode(tokens.length));
        for (uint256 i = 0; i < tokens.length; ++i) words = bytes.concat(words, abi.encode(tokens[i]));
        _act(OBSERVE, words);
    }

    function observationGas(uint256 assets, uint256 tokens) public pure returns (uint256) {
        return OBSERVATION_GAS + OBSERVATION_ENTRY_GAS * (assets + tokens);
    }

    function receiveObservation(bytes calldata data) external {
        if (msg.sender != SYSTEM) revert NotSystem(msg.sender);
        uint8 kind = uint8(data[0]);
        if (kind == 1) _receiveMarkets(data[1:]);
        else if (kind == 2) _receiveAccount(data[1:]);
        else revert UnknownObservation(kind);
    }

    function accountOf(address who) external view returns (address) {
        bytes32 hash = sha256(abi.encode(bytes32("atoll account"), uint256(_own), who));
        return address(uint160(uint256(hash)));
    }

    function environments() external view returns (uint32 own, uint32 exchange) {
        return (_own, _exchange);
    }

    function market(uint32 asset) external view returns (Market memory) {
        MarketRecord memory r = _markets[asset];
        if (r.slot == 0) revert NotObserved();
        return Market(r.oracle, r.mark, r.state, r.slot, r.time);
    }

    function account(address who) external view returns (Account memory) {
        AccountRecord memory r = _accounts[who];
        if (r.slot == 0) revert NotObserved();
        return Account(r.exists, r.value, int256(r.free), r.slot, r.time, r.received);
    }

    function position(address who, uint32 asset) external view returns (Position memory) {
        PositionRecord memory r = _positions[who][asset];
        if (r.slot == 0) revert NotObserved();
        return Position(r.size, r.entryNotional, r.slot, r.time);
    }

    function balance(address who, address token) external view returns (Balance memory) {
        BalanceRecord memory r = _balances[who][token];
        if (r.slot == 0) revert NotObserved();
        return Balance(r.amount, r.slot, r.time);
    }

    /// @dev Uses all the gas that it is given. `_burn` calls it.
    function burn() external pure {
        assembly {
            invalid()
        }
    }

    function _header(uint24 action) private pure returns (bytes4) {
        return bytes4(0x01000000 | uint32(action));
    }

    function _act(uint24 action, bytes memory words) private {
        _emit(bytes.concat(_header(action), words));
    }

    function _emit(bytes memory data) private {
        _burn(ACTION_GAS + ACTION_BYTE_GAS * data.length);
        emit ActionSent(_exchange, msg.sender, data);
    }

    /// @dev A call never gets more than 63/64 of what is left, so who has too little is refused instead.
    function _burn(uint256 amount) private view {
        // What is used from here to the call is far below 3,000.
        uint256 needed = amount + amount / 63 + 3_000;
        if (gasleft() < needed) revert NotEnoughGas(needed);
        (bool success,) = address(this).staticcall{gas: amount}(abi.encodeCall(this.burn, ()));
        assert(!success);
    }

    function _receiveMarkets(bytes calldata data) private {
        (uint64 slot, uint64 timeMicros, ObservedMarket[] memory markets) =
            abi.decode(data, (uint64, uint64, ObservedMarket[]));
        (uint40 slot40, uint40 time) = _when(slot, timeMicros);
        for (uint256 i = 0; i < markets.length; ++i) {
            ObservedMarket memory m = markets[i];
            _markets[m.asset] = MarketRecord(_price(m.oracle), _price(m.mark), m.state, slot40, time);
        }
        emit MarketsObserved(slot, markets.length);
    }

    /// Anyone may list a market: one whose price is beyond all sense must not hide the others.
    function _price(uint128 price) private pure returns (uint80) {
        return price > type(uint80).max ? type(uint80).max : uint80(price);
    }

    function _receiveAccount(bytes calldata data) private {
        (
            uint64 slot,
            uint64 timeMicros,
            address who,
            bool exists,
            int256 value,
            int256 free,
            ObservedPosition[] memory positions,
            ObservedBalance[] memory balances
        ) = abi.decode(
            data, (uint64, uint64, address, bool, int256, int256, ObservedPosition[], ObservedBalance[])
        );
        (uint40 slot40, uint40 time) = _when(slot, timeMicros);
        if (value != int128(value) || free < 0) revert OutOfRange();
        _accounts[who] =
            AccountRecord(int128(value), slot40, time, uint40(block.number), exists, uint256(free));
        for (uint256 i = 0; i < positions.length; ++i) {
            ObservedPosition memory p = positions[i];
            (int80 size, int96 notional) = (int80(p.size), int96(p.entryNotional));
            if (p.size != size || p.entryNotional != notional) revert OutOfRange();
            _positions[who][p.asset] = PositionRecord(size, notional, slot40, time);
        }
        for (uint256 i = 0; i < balances.length; ++i) {
            ObservedBalance memory b = balances[i];
            if (b.amount > type(uint176).max) revert OutOfRange();
            _balances[who][b.token] = BalanceRecord(uint176(b.amount), slot40, time);
        }
        emit AccountObserved(who, slot);
    }

    /// @dev Microseconds as this environment's seconds.
    function _when(uint64 slot, uint64 timeMicros) private pure returns (uint40, uint40) {
        if (slot == 0 || slot > type(uint40).max) revert OutOfRange();
        return (uint40(slot), uint40(timeMicros / 1_000_000));
    }
}
