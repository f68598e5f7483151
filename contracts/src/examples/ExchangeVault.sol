// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {BridgedToken} from "../environment/BridgedToken.sol";
import {EnvironmentBridge} from "../environment/EnvironmentBridge.sol";
import {EXCHANGE, IExchange} from "../environment/IExchange.sol";

/// @title Example: a vault that trades one perpetual on the exchange
/// @notice Shares in a bridged token that is the exchange's collateral there, in the same decimals. A
/// manager trades; holders come and go by requests that anyone may settle once there is a price.
///
/// What a share is worth. The vault's money is in two places: `cash()` here, and the account on the
/// exchange, whose value an observation tells some slots later. Adding the two is right only if no
/// money was between them at either moment. With d the slots that a message takes, and a move of
/// money (`toExchange`, `fromExchange`, `bringBack`) in slot t:
///
/// - there, it is delivered or done in slot t + d. If somebody cannot take it, it is back, on
///   whichever side it came from, in slot t + 3d at the latest. Until then it can be nowhere;
/// - so an observation made after slot t + 3d shows it at rest, there or not there. It arrives here
///   another d slots later, and all that had left the exchange before it has arrived here by then;
/// - from the observation until it is used nothing moves: a move makes the observation too old.
///
/// So `_price` asks for an observation made after the last move + 3d, and no sums of money under way
/// are kept that could be wrong: nothing counts twice or not at all. d is what the observation itself
/// took. Moves have a pause between them, so that nobody can keep the vault without a price.
///
/// Why nobody gains at the holders' cost:
/// - a request is priced by an observation that was made after it, and that is at most
///   `PRICE_AGE_MAX` seconds old: what was known when requesting is in the price. Anyone may settle
///   anyone's request, so who waits for a better price is settled by others at this one;
/// - shares and payments are rounded down, against who made the request;
/// - there are 10^6 shares nobody owns, from the beginning: who donates to make the first depositor's
///   shares round to nothing loses at least what that one loses;
/// - no deposit is priced where the account owes or holders have nothing left: they would keep none of
///   a recovery.
///
/// Why nobody is locked in: where a redemption has waited for `GRACE` because there is not enough cash,
/// anyone may `recall`: from then on the manager can neither take risk nor move money, and anyone may
/// cancel its orders, close the position and bring the money back, as far as that redemption needs it.
/// A request that nobody could settle for as long can be cancelled.
///
/// What the manager can do: trade one market within `BAND` of the mark, in orders of a bounded size.
/// It can lose money by trading, and give some away by trading against itself within the band; whoever
/// copies this decides whether to bound the volume, too. It cannot send money anywhere but to the
/// vault's two places. Limits: if the exchange stops, what is there stays there; a redemption is
/// priced when it is paid.
contract ExchangeVault is ERC20 {
    /// @param slot,time When it was made, or added to.
    struct Request {
        uint256 amount;
        uint64 slot;
        uint64 time;
    }

    EnvironmentBridge public constant BRIDGE = EnvironmentBridge(0xa701100000000000000000000000000000000001);
    /// @notice Oldest observation that prices anything, in seconds.
    uint256 public constant PRICE_AGE_MAX = 10;
    /// @notice How long a request waits for others to act, in seconds.
    uint256 public constant GRACE = 1 days;
    /// @notice Seconds between two moves of money: many times what one takes.
    uint256 public constant MOVE_PAUSE = 60;
    /// @notice How much worse than the mark a limit price may be, in parts per million.
    uint256 public constant BAND = 10_000;
    /// @notice Shares of the first unit of the token, and shares that nobody owns.
    uint256 private constant SHARES = 10 ** 6;

    BridgedToken public immutable token;
    address public immutable hubToken;
    address public immutable manager;
    /// @notice The perpetual, by its number in the exchange's API.
    uint32 public immutable asset;
    /// @notice Largest order, 10^8 times the human number.
    uint64 public immutable orderSizeMax;
    /// @notice The vault's account on the exchange.
    address public immutable exchangeAccount;

    mapping(address owner => Request) public deposits;
    mapping(address owner => Request) public redemptions;
    /// @notice Tokens of deposits that are not priced yet: they are their owners'.
    uint256 public pendingDeposits;
    /// @notice Whose redemption makes the manager stand back.
    address public recalledFor;
    /// @notice Number of the last order: the client id to cancel it by.
    uint128 public orders;
    uint64 public lastMoveSlot;
    uint64 public lastMoveTime;

    event DepositRequested(address indexed owner, uint256 assets);
    event RedemptionRequested(address indexed owner, uint256 shares);
    event DepositSettled(address indexed owner, uint256 assets, uint256 shares);
    event RedemptionSettled(address indexed owner, uint256 shares, uint256 assets);
    event Ordered(uint128 indexed cloid, bool isBuy, uint64 limitPx, uint64 sz, bool reduceOnly);

    error NotManager(address caller);
    error NothingRequested();
    error ObservedBefore(uint256 needed, uint256 slot);
    error ObservationTooOld(uint256 time);
    error NothingToShare();
    error ZeroShares();
    error NotEnoughCash(uint256 needed, uint256 cash);
    error StillEarly(uint256 until);
    error Recalled();
    error NotRecalled();
    error NotNeeded();
    error OrderTooLarge(uint256 most, uint256 given);
    error PriceOutsideBand(uint256 mark, uint256 given);

    modifier onlyManager() {
        if (msg.sender != manager) revert NotManager(msg.sender);
        _;
    }

    constructor(
        string memory name_,
        string memory symbol_,
        address hubToken_,
        address manager_,
        uint32 asset_,
        uint64 orderSizeMax_
    ) ERC20(name_, symbol_) {
        (hubToken, manager, asset, orderSizeMax) = (hubToken_, manager_, asset_, orderSizeMax_);
        token = BridgedToken(BRIDGE.tokenOf(hubToken_));
        exchangeAccount = EXCHANGE.accountOf(address(this));
    }

    function decimals() public view override returns (uint8) {
        return token.decimals() + 6;
    }

    /// @notice What the vault itself has of the token here.
    function cash() public view returns (uint256) {
        return token.balanceOf(address(this)) - pendingDeposits;
    }

    // Holders

    /// @notice Takes `assets` of the token for shares at the next observation, which it asks for.
    function requestDeposit(uint256 assets) external {
        if (assets == 0) revert NothingRequested();
        pendingDeposits += assets;
        _request(deposits[msg.sender], assets);
        token.transferFrom(msg.sender, address(this), assets);
        emit DepositRequested(msg.sender, assets);
    }

    /// @notice Takes `shares` for the token at the next observation, which it asks for. Until they are
    /// paid they gain and lose like all others.
    function requestRedemption(uint256 shares) external {
        if (shares == 0) revert NothingRequested();
        _request(redemptions[msg.sender], shares);
        _transfer(msg.sender, address(this), shares);
        emit RedemptionRequested(msg.sender, shares);
    }

    /// @notice Gives the shares for an owner's deposit. For anyone to call.
    function settleDeposit(address owner) external returns (uint256 shares) {
        Request memory request = deposits[owner];
        (uint256 total, IExchange.Account memory there) = _price(request);
        if (totalSupply() != 0 && (total == 0 || there.value < 0)) revert NothingToShare();
        shares = Math.mulDiv(request.amount, totalSupply() + SHARES, total + 1);
        if (shares == 0) revert ZeroShares();
        delete deposits[owner];
        pendingDeposits -= request.amount;
        _mint(owner, shares);
        emit DepositSettled(owner, request.amount, shares);
    }

    /// @notice Pays an owner's redemption. For anyone to call.
    function settleRedemption(address owner) external returns (uint256 assets) {
        Request memory request = redemptions[owner];
        (uint256 total,) = _price(request);
        assets = _worth(request.amount, total);
        if (assets > cash()) revert NotEnoughCash(assets, cash());
        delete redemptions[owner];
        _burn(address(this), request.amount);
        token.transfer(owner, assets);
        emit RedemptionSettled(owner, request.amount, assets);
    }

    /// @notice Gives the tokens of a deposit back that nobody could settle for `GRACE`.
    function cancelDeposit() external {
        uint256 assets = _cancel(deposits[msg.sender]);
        pendingDeposits -= assets;
        token.transfer(msg.sender, assets);
    }

    /// @notice The same for the shares of a redemption.
    function cancelRedemption() external {
        _transfer(address(this), msg.sender, _cancel(redemptions[msg.sender]));
    }

    // The manager

    /// @notice Sends cash to the vault's account on the exchange.
    function toExchange(uint128 amount) external onlyManager {
        if (recalling()) revert Recalled();
        if (amount > cash()) revert NotEnoughCash(amount, cash());
        _moving();
        (, uint32 exchange) = EXCHANGE.environments();
        BRIDGE.send(exchange, hubToken, exchangeAccount, amount);
    }

    /// @notice Brings money back from there. More than is free is refused there, without an answer.
    function fromExchange(uint128 amount) external onlyManager {
        // Or the pause after moves that are refused there would keep others from bringing it back.
        if (recalling()) revert Recalled();
        _bring(amount);
    }

    /// @notice Places a limit order. Its client id is `orders`.
    /// @param limitPx,sz 10^8 times the human number, whole ticks and lots.
    function order(bool isBuy, uint64 limitPx, uint64 sz, bool reduceOnly, IExchange.Tif tif) external onlyManager {
        if (!reduceOnly && recalling()) revert Recalled();
        _order(isBuy, limitPx, sz, reduceOnly, tif);
    }

    /// @notice Cancels an order: the manager always, anyone after a recall.
    function cancel(uint128 cloid) external {
        if (msg.sender != manager && !recalling()) revert NotManager(msg.sender);
        EXCHANGE.cancelByClientId(asset, cloid);
    }

    // A manager who does not pay

    /// @notice Has the manager stand back until an overdue redemption is paid. For anyone to call.
    function recall(address owner) external {
        if (recalling()) revert Recalled();
        recalledFor = owner;
        if (!recalling()) revert StillEarly(redemptions[owner].time + GRACE);
    }

    function recalling() public view returns (bool) {
        Request memory request = redemptions[recalledFor];
        return request.amount != 0 && block.timestamp > request.time + GRACE;
    }

    /// @notice Brings back what the recalling redemption lacks, as far as it is free. For anyone to call.
    function bringBack() external {
        (uint256 lacking, uint256 free) = _lacking();
        if (free == 0) revert NotNeeded();
        _bring(uint128(Math.min(lacking, free)));
    }

    /// @notice Closes some of the position where what is free does not suffice. For anyone to call.
    function close(bool isBuy, uint64 limitPx, uint64 sz) external {
        (uint256 lacking, uint256 free) = _lacking();
        if (lacking <= free) revert NotNeeded();
        _order(isBuy, limitPx, sz, true, IExchange.Tif.ImmediateOrCancel);
    }

    /// @notice Asks for an observation of the vault's account. For anyone to call.
    function observe() public {
        uint32[] memory assets = new uint32[](1);
        assets[0] = asset;
        EXCHANGE.observe(exchangeAccount, assets, new address[](0));
    }

    function _request(Request storage request, uint256 amount) private {
        request.amount += amount;
        (request.slot, request.time) = (uint64(block.number), uint64(block.timestamp));
        observe();
    }

    function _cancel(Request storage request) private returns (uint256 amount) {
        amount = request.amount;
        if (amount == 0) revert NothingRequested();
        if (block.timestamp <= request.time + GRACE) revert StillEarly(request.time + GRACE);
        (request.amount, request.slot, request.time) = (0, 0, 0);
    }

    /// @dev What the vault owns, by an observation that may price this request.
    function _price(Request memory request) private view returns (uint256 total, IExchange.Account memory there) {
        if (request.amount == 0) revert NothingRequested();
        there = EXCHANGE.account(exchangeAccount);
        uint256 needed = request.slot;
        if (lastMoveSlot != 0) needed = Math.max(needed, lastMoveSlot + 3 * (there.received - there.slot));
        if (there.slot <= needed) revert ObservedBefore(needed, there.slot);
        if (there.time + PRICE_AGE_MAX < block.timestamp) revert ObservationTooOld(there.time);
        total = cash() + (there.value > 0 ? uint256(there.value) : 0);
    }

    function _worth(uint256 shares, uint256 total) private view returns (uint256) {
        return Math.mulDiv(shares, total + 1, totalSupply() + SHARES);
    }

    /// @dev What the recalling redemption lacks in cash, with a hundredth for prices that move; and what
    /// is free on the exchange.
    function _lacking() private view returns (uint256 lacking, uint256 free) {
        if (!recalling()) revert NotRecalled();
        Request memory request = redemptions[recalledFor];
        (uint256 total, IExchange.Account memory there) = _price(request);
        uint256 assets = _worth(request.amount, total);
        if (assets <= cash()) revert NotNeeded();
        lacking = assets + assets / 100 - cash();
        free = uint256(there.free);
    }

    function _moving() private {
        if (lastMoveTime != 0 && block.timestamp <= lastMoveTime + MOVE_PAUSE) {
            revert StillEarly(lastMoveTime + MOVE_PAUSE);
        }
        (lastMoveSlot, lastMoveTime) = (uint64(block.number), uint64(block.timestamp));
    }

    function _bring(uint128 amount) private {
        _moving();
        (uint32 own,) = EXCHANGE.environments();
        EXCHANGE.send(own, address(this), hubToken, false, amount);
    }

    function _order(bool isBuy, uint64 limitPx, uint64 sz, bool reduceOnly, IExchange.Tif tif) private {
        if (sz > orderSizeMax) revert OrderTooLarge(orderSizeMax, sz);
        IExchange.Market memory market = EXCHANGE.market(asset);
        if (market.time + PRICE_AGE_MAX < block.timestamp) revert ObservationTooOld(market.time);
        uint256 worse = uint256(market.mark) * BAND / 1_000_000;
        bool within = isBuy ? limitPx <= market.mark + worse : limitPx + worse >= market.mark;
        if (!within) revert PriceOutsideBand(market.mark, limitPx);
        emit Ordered(++orders, isBuy, limitPx, sz, reduceOnly);
        EXCHANGE.placeLimitOrder(asset, isBuy, limitPx, sz, reduceOnly, tif, orders);
    }
}
