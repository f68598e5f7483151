// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @dev The port to the exchange, in every EVM environment whose spec has `[evm.exchange]`.
IExchange constant EXCHANGE = IExchange(0xa701100000000000000000000000000000000004);

/// @title The exchange environment, as a contract of an EVM environment trades on it and reads it
/// @notice Everything is asynchronous. An action is a message: it is done on the exchange some slots
/// later, or refused there, and nothing comes back. What a view shows is what the exchange said in
/// an observation, some slots ago; `slot` and `time` say when. `docs/evm/exchange.md` has it all.
///
/// Who calls acts through an account of its own on the exchange, `accountOf(caller)`, which no key
/// signs for. Money gets there through the environment's bridge: `send(exchange, token, account, amount)`.
///
/// Units. Prices and sizes are 10^8 times the human number, and must be whole ticks and lots. Amounts
/// of money are in the token's smallest unit on the hub, unless they say otherwise. Assets are numbered
/// as in the exchange's API: perpetuals from 0, spot markets from 10000. A slot is a block of this
/// environment: `block.number - slot` is the age of a view in slots, `block.timestamp - time` in seconds.
interface IExchange {
    /// @notice How long a limit order stays.
    enum Tif {
        None,
        AddLiquidityOnly,
        GoodTillCancelled,
        ImmediateOrCancel
    }

    /// @param oracle,mark 10^8 times the human price; 2^80 - 1 for whatever is larger.
    /// @param state 0 open; others are listed in docs/evm/exchange.md.
    struct Market {
        uint128 oracle;
        uint128 mark;
        uint8 state;
        uint64 slot;
        uint64 time;
    }

    /// @param value Of the collateral wallet at current marks, unsettled funding included.
    /// @param free What could be withdrawn of it.
    /// @param received The block in which the observation arrived here. A message was under way for
    /// `received - slot` slots; every message takes as long.
    struct Account {
        bool exists;
        int256 value;
        int256 free;
        uint64 slot;
        uint64 time;
        uint64 received;
    }

    /// @param size 10^8 times the human number; negative if short, 0 if there is none.
    /// @param entryNotional What was paid for it, signed like the size.
    struct Position {
        int256 size;
        int256 entryNotional;
        uint64 slot;
        uint64 time;
    }

    /// @param amount Of the spot wallet.
    struct Balance {
        uint256 amount;
        uint64 slot;
        uint64 time;
    }

    /// @notice An action leaves for the exchange.
    event ActionSent(uint32 indexed destination, address indexed from, bytes data);
    /// @notice Prices of so many markets arrived, as of `slot`.
    event MarketsObserved(uint64 slot, uint256 count);
    /// @notice An account's value, and what else was asked for, arrived as of `slot`.
    event AccountObserved(address indexed account, uint64 slot);

    error NotSystem(address caller);
    /// @notice There is no observation of it yet.
    error NotObserved();
    /// @notice Observations are asked for by `observe`, which pays for the answer.
    error UseObserve();
    error TooLong(uint256 most, uint256 given);
    error NotEnoughGas(uint256 needed);
    error UnknownObservation(uint8 kind);
    /// @notice A value of an observation is beyond what is kept of it.
    error OutOfRange();

    /// @notice Places a limit order.
    /// @param limitPx,sz 10^8 times the human number.
    /// @param cloid The caller's own number for it, to cancel it by; 0 for none.
    function placeLimitOrder(
        uint32 asset,
        bool isBuy,
        uint64 limitPx,
        uint64 sz,
        bool reduceOnly,
        Tif tif,
        uint128 cloid
    ) external;

    /// @notice Cancels by the exchange's number of the order.
    function cancelOrder(uint32 asset, uint64 oid) external;

    /// @notice Cancels by the caller's own number.
    function cancelByClientId(uint32 asset, uint128 cloid) external;

    /// @notice Moves collateral between the caller's two wallets.
    /// @param amount In the exchange's smallest unit of the collateral.
    function moveBetweenWallets(uint64 amount, bool toPerp) external;

    /// @notice Lets a key trade for the caller's account until `validUntilMs` (milliseconds since
    /// 1970; 0 revokes). Such a key cannot move money.
    function approveAgent(address agent, uint64 validUntilMs) external;

    /// @notice Sends money from the caller's account on the exchange to `to` in an environment; 0
    /// withdraws to the hub.
    /// @param token The token's address on the hub.
    /// @param spotWallet Which wallet it is taken from.
    function send(uint32 destination, address to, address token, bool spotWallet, uint128 amount) external;

    /// @notice Sends an action as it is encoded: version 1, its number in 3 bytes, its words.
    function act(bytes calldata data) external;

    /// @notice Asks the exchange for an account: its value, and positions and balances of its spot
    /// wallet in these assets and hub tokens, at most 8 of each. Uses `observationGas` on top, which
    /// pays for storing the answer.
    function observe(address account, uint32[] calldata assets, address[] calldata tokens) external;

    /// @notice Gas that `observe` uses for the answer.
    function observationGas(uint256 assets, uint256 tokens) external pure returns (uint256);

    /// @notice Takes in an observation. System only.
    function receiveObservation(bytes calldata data) external;

    /// @notice The account on the exchange through which an address of this environment acts.
    function accountOf(address who) external view returns (address);

    /// @notice This environment's number, and the exchange's.
    function environments() external view returns (uint32 own, uint32 exchange);

    /// @notice Prices of a market. They come unasked for, every few slots. Reverts with `NotObserved`, as
    /// all of these do.
    function market(uint32 asset) external view returns (Market memory);

    /// @notice An account on the exchange.
    function account(address who) external view returns (Account memory);

    /// @notice A position of the account, as of the last observation that asked for it.
    function position(address who, uint32 asset) external view returns (Position memory);

    /// @notice A balance of the account's spot wallet, likewise.
    function balance(address who, address token) external view returns (Balance memory);
}
