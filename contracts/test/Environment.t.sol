// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BridgedToken} from "../src/environment/BridgedToken.sol";
import {EnvironmentBridge} from "../src/environment/EnvironmentBridge.sol";
import {StateObjects} from "../src/lib/StateObjects.sol";
import {Test} from "./lib/Test.sol";

/// @notice The predeploy, from its committed code at its fixed address.
contract EnvironmentTest is Test {
    EnvironmentBridge private constant BRIDGE = EnvironmentBridge(StateObjects.ENVIRONMENT_BRIDGE);
    address private constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;
    address private constant USDC = address(0xdc);
    address private alice = address(0xa11ce);

    function setUp() public {
        string memory json = vm.readFile("artifacts/EnvironmentBridge.json");
        vm.etch(address(BRIDGE), vm.parseJsonBytes(json, ".deployedBytecode"));
        vm.deal(alice, 10 ether);
    }

    function _receive(uint256 amount) private {
        vm.prank(SYSTEM);
        BRIDGE.receiveToken(USDC, "USD Coin", "USDC", 6, alice, amount);
    }

    function test_tokens_are_where_the_hub_expects_them() public {
        string memory json = vm.readFile("artifacts/BridgedToken.json");
        bytes32 hash = keccak256(vm.parseJsonBytes(json, ".bytecode"));
        assertEq(hash, StateObjects.BRIDGED_TOKEN_CODE_HASH, "code hash");
        assertEq(BRIDGE.tokenOf(USDC), StateObjects.bridgedToken(USDC), "address");
        _receive(700);
        assertTrue(BRIDGE.tokenOf(USDC).code.length != 0, "created there");
    }

    function test_balances_are_at_slot_zero() public {
        _receive(700);
        bytes32 slot = bytes32(StateObjects.balanceSlot(alice));
        assertEq(uint256(vm.load(BRIDGE.tokenOf(USDC), slot)), 700, "balance slot");
    }

    function test_receive_mints() public {
        _receive(700);
        _receive(300);
        BridgedToken token = BridgedToken(BRIDGE.tokenOf(USDC));
        assertEq(token.balanceOf(alice), 1000, "balance");
        assertEq(token.decimals(), 6, "decimals");
        assertEq(keccak256(bytes(token.symbol())), keccak256("USDC"), "symbol");
        assertEq(keccak256(bytes(token.name())), keccak256("USD Coin"), "name");
        assertEq(token.hubToken(), USDC, "hub token");
    }

    function test_send_burns() public {
        _receive(700);
        vm.prank(alice);
        BRIDGE.send(0, USDC, alice, 200);
        assertEq(BridgedToken(BRIDGE.tokenOf(USDC)).totalSupply(), 500, "supply");
        vm.prank(alice);
        BRIDGE.send{value: 2 ether}(1, address(0), alice, 2 ether);
        assertEq(address(BRIDGE).balance, 2 ether, "for the VM to burn");
    }

    function test_refusals() public {
        vm.expectRevert(abi.encodeWithSelector(EnvironmentBridge.NotSystem.selector, address(this)));
        BRIDGE.receiveToken(USDC, "USD Coin", "USDC", 6, alice, 1);
        vm.expectRevert(EnvironmentBridge.ZeroAddress.selector);
        vm.prank(SYSTEM);
        BRIDGE.receiveToken(address(0), "", "", 6, alice, 1);
        _receive(700);
        BridgedToken token = BridgedToken(BRIDGE.tokenOf(USDC));
        bytes memory notBridge = abi.encodeWithSelector(BridgedToken.NotBridge.selector, address(this));
        vm.expectRevert(notBridge);
        token.mint(alice, 1);
        vm.expectRevert(notBridge);
        token.burn(alice, 1);
        vm.expectRevert(notBridge);
        token.initialize(USDC, "", "", 1);
        vm.prank(address(BRIDGE));
        vm.expectRevert(BridgedToken.AlreadyInitialised.selector);
        token.initialize(USDC, "", "", 1);
        vm.startPrank(alice);
        vm.expectRevert(EnvironmentBridge.ZeroAddress.selector);
        BRIDGE.send(0, USDC, address(0), 1);
        vm.expectRevert(EnvironmentBridge.ZeroAmount.selector);
        BRIDGE.send(0, USDC, alice, 0);
        vm.expectRevert(abi.encodeWithSelector(EnvironmentBridge.WrongValue.selector, 2, 1));
        BRIDGE.send{value: 1}(0, address(0), alice, 2);
        vm.expectRevert(abi.encodeWithSelector(EnvironmentBridge.WrongValue.selector, 0, 1));
        BRIDGE.send{value: 1}(0, USDC, alice, 2);
        vm.expectRevert(abi.encodeWithSelector(EnvironmentBridge.UnknownToken.selector, address(0xdd)));
        BRIDGE.send(0, address(0xdd), alice, 2);
        vm.expectRevert();
        BRIDGE.send(0, USDC, alice, 701);
        vm.stopPrank();
    }
}
