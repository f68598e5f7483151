// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BridgedToken} from "../../src/environment/BridgedToken.sol";
import {EnvironmentBridge} from "../../src/environment/EnvironmentBridge.sol";
import {ExchangePort} from "../../src/environment/ExchangePort.sol";
import {EXCHANGE} from "../../src/environment/IExchange.sol";
import {StateObjects} from "../../src/lib/StateObjects.sol";
import {Test, Vm} from "./Test.sol";

/// @notice An EVM environment with its bridge and its port, an exchange that has one account, and the
/// router's delay between them.
abstract contract ExchangeTest is Test {
    EnvironmentBridge internal constant BRIDGE = EnvironmentBridge(StateObjects.ENVIRONMENT_BRIDGE);
    address internal constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;
    address internal constant USDC = address(0xdc);
    uint32 internal constant OWN = 2;
    uint32 internal constant THERE = 1;
    uint256 internal constant START = 1_800_000_000;

    struct Money {
        uint256 slot;
        address to;
        uint256 amount;
    }

    struct Data {
        uint256 slot;
        address from;
        bytes data;
    }

    uint256 internal delay = 2;
    uint256 internal slot = 100;
    /// The account on the exchange: what it is worth, and how much of that is tied up.
    address internal account;
    int256 internal value;
    uint256 internal tied;
    uint256 internal mark = 50_000 * 10 ** 8;
    /// Whether the exchange sends back what arrives, and the port's side what arrives here.
    bool internal bounces;
    /// Orders that arrived there.
    bytes[] internal ordered;
    Money[] private _toExchange;
    Money[] private _toHere;
    Data[] private _actions;
    Data[] private _observations;

    function _stand(address where, string memory name) private {
        string memory json = vm.readFile(string.concat("artifacts/", name, ".json"));
        vm.etch(where, vm.parseJsonBytes(json, ".deployedBytecode"));
    }

    function boot() internal {
        _stand(address(BRIDGE), "EnvironmentBridge");
        _stand(address(EXCHANGE), "ExchangePort");
        vm.store(address(EXCHANGE), 0, bytes32(uint256(THERE) << 32 | OWN));
        vm.roll(slot);
        vm.warp(START + slot / 10);
        vm.recordLogs();
    }

    function token() internal view returns (BridgedToken) {
        return BridgedToken(BRIDGE.tokenOf(USDC));
    }

    function mint(address to, uint256 amount) internal {
        vm.prank(SYSTEM);
        BRIDGE.receiveToken(USDC, "USD Coin", "USDC", 6, to, amount);
    }

    function free() internal view returns (uint256) {
        return value > int256(tied) ? uint256(value) - tied : 0;
    }

    function go(uint256 slots) internal {
        for (uint256 i = 0; i < slots; ++i) _step();
    }

    /// @notice The next slot: openings first, then what the test does in it.
    function _step() private {
        _collect();
        slot += 1;
        vm.roll(slot);
        vm.warp(START + slot / 10);
        for (uint256 i = 0; i < _toExchange.length; ++i) {
            if (_toExchange[i].slot == slot) _credit(_toExchange[i]);
        }
        for (uint256 i = 0; i < _actions.length; ++i) {
            if (_actions[i].slot == slot) _do(_actions[i]);
        }
        for (uint256 i = 0; i < _toHere.length; ++i) {
            if (_toHere[i].slot == slot) mint(_toHere[i].to, _toHere[i].amount);
        }
        for (uint256 i = 0; i < _observations.length; ++i) {
            if (_observations[i].slot == slot) _receive(_observations[i].data);
        }
        if (slot % 5 == 0) showMark();
    }

    function showMark() internal {
        ExchangePort.ObservedMarket[] memory markets = new ExchangePort.ObservedMarket[](1);
        markets[0] = ExchangePort.ObservedMarket(0, uint128(mark), uint128(mark), 0);
        _receive(bytes.concat(hex"01", abi.encode(uint64(slot - delay), _micros(), markets)));
    }

    function _receive(bytes memory data) private {
        vm.prank(SYSTEM);
        EXCHANGE.receiveObservation(data);
    }

    function _micros() private view returns (uint64) {
        return uint64((START * 10 + slot) * 100_000);
    }

    function _collect() private {
        bytes32 money = EnvironmentBridge.MessageSent.selector;
        bytes32 action = keccak256("ActionSent(uint32,address,bytes)");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            address from = logs[i].topics.length == 0 ? address(0) : _from(logs[i].topics);
            if (logs[i].emitter == address(BRIDGE) && logs[i].topics[0] == money) {
                (address to, uint256 amount) = abi.decode(logs[i].data, (address, uint256));
                _toExchange.push(Money(slot + delay, to, amount));
            } else if (logs[i].emitter == address(EXCHANGE) && logs[i].topics[0] == action) {
                _actions.push(Data(slot + delay, from, abi.decode(logs[i].data, (bytes))));
            }
        }
    }

    function _credit(Money memory money) private {
        assertEq(money.to, account, "money goes to the vault's account alone");
        if (bounces) _toHere.push(Money(slot + delay, _owner(), money.amount));
        else value += int256(money.amount);
    }

    function _do(Data memory action) private {
        bytes4 header = bytes4(action.data);
        bytes memory words = new bytes(action.data.length - 4);
        for (uint256 i = 4; i < action.data.length; ++i) words[i - 4] = action.data[i];
        if (header == 0x01000100) {
            (uint32 to, address receiver, address what, bool spot, uint128 amount) =
                abi.decode(words, (uint32, address, address, bool, uint128));
            assertTrue(to == OWN && receiver == action.from && what == USDC && !spot, "comes back here");
            if (amount > free()) return;
            value -= int256(uint256(amount));
            // What cannot be credited here is back on the exchange two delays later.
            if (bounces) _toExchange.push(Money(slot + 2 * delay, account, amount));
            else _toHere.push(Money(slot + delay, receiver, amount));
        } else if (header == 0x01000101) {
            ExchangePort.ObservedPosition[] memory none;
            ExchangePort.ObservedBalance[] memory neither;
            bytes memory shown =
                abi.encode(uint64(slot), _micros(), account, true, value, int256(free()), none, neither);
            _observations.push(Data(slot + delay, address(0), bytes.concat(hex"02", shown)));
        } else {
            ordered.push(action.data);
        }
    }

    function _from(bytes32[] memory topics) private pure returns (address) {
        return address(uint160(uint256(topics[topics.length - 1])));
    }

    /// @notice Whose money comes back.
    function _owner() internal view virtual returns (address);
}
