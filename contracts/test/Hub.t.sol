// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {Addresses, AnchorConfig} from "../src/Types.sol";
import {HubTest} from "./lib/HubTest.sol";

interface IAnchorInitialize {
    function initialize(Addresses calldata a, AnchorConfig calldata c) external;
}

interface IProxyAdmin {
    function owner() external view returns (address);
    function upgradeAndCall(address proxy, address implementation, bytes calldata data) external payable;
}

contract HubDeploymentTest is HubTest {
    bytes32 private constant ADMIN_SLOT = 0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103;

    function _admin(address proxy) private view returns (IProxyAdmin) {
        return IProxyAdmin(address(uint160(uint256(vm.load(proxy, ADMIN_SLOT)))));
    }

    function test_only_the_timelock_upgrades() public {
        Addresses memory a = hub.addresses();
        address[5] memory proxies = [a.registry, a.queue, a.anchor, a.bridge, a.hatch];
        address implementation = create("Anchor", "");
        for (uint256 i = 0; i < 5; ++i) {
            IProxyAdmin admin = _admin(proxies[i]);
            assertEq(admin.owner(), timelock, "owner of the proxy admin");
            vm.expectRevert();
            admin.upgradeAndCall(proxies[i], implementation, "");
        }
        bytes32 before = anchor.record(0).withdrawalsRoot;
        IProxyAdmin anchorAdmin = _admin(a.anchor);
        vm.prank(timelock);
        anchorAdmin.upgradeAndCall(a.anchor, implementation, "");
        assertEq(anchor.record(0).withdrawalsRoot, before, "state is kept");
    }

    function test_nothing_is_initialised_twice() public {
        Addresses memory a = hub.addresses();
        AnchorConfig memory c;
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        IAnchorInitialize(a.anchor).initialize(a, c);
        address implementation = create("Anchor", "");
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        IAnchorInitialize(implementation).initialize(a, c);
    }

    function test_addresses_follow_from_the_configuration() public view {
        Addresses memory a = hub.addresses();
        assertEq(a.timelock, timelock, "timelock");
        assertEq(a.guardian, guardian, "guardian");
        assertEq(address(uint160(uint256(keccak256(abi.encodePacked(bytes2(0xd694), hub, uint8(3)))))), a.anchor, "anchor");
    }
}
