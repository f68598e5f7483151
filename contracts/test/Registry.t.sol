// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {IAnchor} from "../src/interfaces/IAnchor.sol";
import "../src/Types.sol";
import {HubTest} from "./lib/HubTest.sol";
import {Refuser} from "./mocks/Callers.sol";

contract RegistryTest is HubTest {
    function _refused(Registration memory r, bytes memory reason) private {
        vm.deal(address(this), 1 ether);
        vm.expectRevert(reason);
        registry.register{value: REGISTRATION_BOND}(r);
    }

    function test_registration_is_open_for_a_bond() public {
        vm.prank(carol);
        uint32 id = registry.register{value: REGISTRATION_BOND}(registration("third", VmKind.Other));
        assertEq(id, 3, "id");
        Version memory v = registry.versionAt(3, 0);
        assertEq(v.specHash, keccak256(abi.encode("spec", VmKind.Other, uint32(1))), "spec");
        vm.expectRevert(abi.encodeWithSelector(IRegistry.WrongBond.selector, REGISTRATION_BOND, 1));
        registry.register{value: 1}(registration("fourth", VmKind.Other));
    }

    function test_a_state_may_begin_empty() public {
        Registration memory r = registration("empty", VmKind.Exchange);
        r.genesisRoot = 0;
        vm.deal(address(this), REGISTRATION_BOND);
        uint32 id = registry.register{value: REGISTRATION_BOND}(r);
        uint64 slot = r.version.activationSlot;
        assertEq(registry.termsAt(id, slot, slot).genesisRoot, bytes32(0), "genesis root");
    }

    function test_bad_registrations() public {
        Registration memory r = registration("", VmKind.Evm);
        _refused(r, abi.encodeWithSelector(IRegistry.BadName.selector, 0));
        r.name = string(new bytes(65));
        _refused(r, abi.encodeWithSelector(IRegistry.BadName.selector, 65));
        r = registration("x", VmKind.Evm);
        r.version.vmKind = VmKind.Router;
        _refused(r, abi.encodeWithSelector(IRegistry.BadVmKind.selector));
        r = registration("x", VmKind.Evm);
        r.version.specHash = 0;
        _refused(r, abi.encodeWithSelector(IRegistry.ZeroHash.selector));
        r = registration("x", VmKind.Evm);
        r.version.policy.challengeWindow = 1;
        _refused(r, abi.encodeWithSelector(IRegistry.BadChallengeWindow.selector, 1, 1 hours, 30 days));
        r.version.policy.challengeWindow = 31 days;
        _refused(r, abi.encodeWithSelector(IRegistry.BadChallengeWindow.selector, 31 days, 1 hours, 30 days));
        r = registration("x", VmKind.Evm);
        r.tokens[0].unit = 0;
        _refused(r, abi.encodeWithSelector(IRegistry.BadToken.selector, ETHER));
        r = registration("x", VmKind.Evm);
        r.tokens[1].token = ETHER;
        _refused(r, abi.encodeWithSelector(IRegistry.BadToken.selector, ETHER));
        r.tokens = new TokenUnit[](65);
        _refused(r, abi.encodeWithSelector(IRegistry.TooManyTokens.selector, 65, 64));
    }

    function test_upgrade_only_far_enough_ahead_and_one_at_a_time() public {
        boot();
        Version memory v = version(0, VmKind.Exchange, 2);
        uint64 earliest = anchor.lastSlot() + UPGRADE_DELAY;
        v.activationSlot = earliest - 1;
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotEnvironmentOwner.selector, EXCHANGE, address(this)));
        registry.upgrade(EXCHANGE, v);
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ActivationTooSoon.selector, earliest, earliest - 1));
        registry.upgrade(EXCHANGE, v);
        v.activationSlot = earliest;
        v.vmKind = VmKind.Evm;
        vm.expectRevert(abi.encodeWithSelector(IRegistry.VmKindChanged.selector, EXCHANGE));
        registry.upgrade(EXCHANGE, v);
        v.vmKind = VmKind.Exchange;
        registry.upgrade(EXCHANGE, v);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UpgradePending.selector, EXCHANGE, earliest));
        registry.upgrade(EXCHANGE, v);
        vm.stopPrank();
        assertEq(registry.versionAt(EXCHANGE, earliest - 1).vmVersion, 1, "before");
        assertEq(registry.versionAt(EXCHANGE, earliest).vmVersion, 2, "after");

        // A commitment must not reach across.
        slots = UPGRADE_DELAY + 5;
        expect(abi.encodeWithSelector(IRegistry.VersionBoundary.selector, EXCHANGE, earliest));
        post(draft());
        slots = UPGRADE_DELAY - 1;
        post(draft());
        slots = 10;
        Draft memory d = draft();
        assertEq(d.s[1].specHash, v.specHash, "spec of the new version");
        post(d);
    }

    function test_registered_and_not_active_yet() public {
        Registration memory r = registration("later", VmKind.Evm);
        r.version.activationSlot = 50;
        registry.register{value: REGISTRATION_BOND}(r);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotActive.selector, 3, 49));
        registry.versionAt(3, 49);
        assertEq(registry.versionAt(3, 50).vmVersion, 1, "active");
    }

    function test_bond_comes_back_only_to_who_was_never_live() public {
        vm.deal(carol, 1 ether);
        vm.startPrank(carol);
        registry.register{value: REGISTRATION_BOND}(registration("third", VmKind.Evm));
        registry.withdraw(3);
        assertEq(carol.balance, 1 ether, "bond");
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownEnvironment.selector, 3));
        registry.withdraw(3);
        vm.stopPrank();
        boot();
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.EnvironmentWasLive.selector, EXCHANGE));
        registry.withdraw(EXCHANGE);
        // Withdrawn environments cannot be anchored, and their ids are not given again.
        environments.push(3);
        registry.register{value: REGISTRATION_BOND}(registration("fourth", VmKind.Evm));
        assertEq(registry.versionAt(4, 0).vmVersion, 1, "fourth");
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownEnvironment.selector, 3));
        registry.termsAt(3, 1, 2);
    }

    function test_slashing() public {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotTimelock.selector, address(this)));
        registry.slashBond(EXCHANGE, carol);
        uint256 before = carol.balance;
        vm.startPrank(timelock);
        registry.slashBond(EXCHANGE, carol);
        assertEq(carol.balance - before, REGISTRATION_BOND, "slashed");
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NoBond.selector, EXCHANGE));
        registry.slashBond(EXCHANGE, carol);
        address refuser = address(new Refuser());
        vm.expectRevert(abi.encodeWithSelector(IRegistry.PaymentFailed.selector, refuser, REGISTRATION_BOND));
        registry.slashBond(EVM, refuser);
        vm.stopPrank();
    }

    function test_ownership_is_taken_not_given() public {
        vm.prank(owner);
        registry.offerOwnership(EXCHANGE, carol);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotEnvironmentOwner.selector, EXCHANGE, bob));
        vm.prank(bob);
        registry.takeOwnership(EXCHANGE);
        vm.prank(carol);
        registry.takeOwnership(EXCHANGE);
        vm.prank(carol);
        registry.setToken(EXCHANGE, address(usdc), 0);
        boot();
        bytes memory reason = abi.encodeWithSelector(IRegistry.TokenNotListed.selector, EXCHANGE, address(usdc));
        vm.expectRevert(reason);
        bridge.deposit(EXCHANGE, address(usdc), alice, 10);
    }
}
