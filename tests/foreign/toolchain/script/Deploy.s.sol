// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {Council} from "../src/Council.sol";
import {MarketToken} from "../src/MarketToken.sol";
import {Seat} from "../src/Seat.sol";
import {vm} from "../lib/Vm.sol";

/// @notice Token, seats and council; the timelock owns both of the former when it ends.
contract Deploy {
    bool public constant IS_SCRIPT = true;

    function run() external returns (MarketToken token, Seat seat, TimelockController timelock, Council council) {
        uint256 key = vm.envUint("DEPLOYER_KEY");
        address deployer = vm.addr(key);
        vm.startBroadcast(key);
        token = new MarketToken(deployer, 1_000_000 ether);
        // A salt means CREATE2 through the deployer that forge expects at its usual address.
        seat = new Seat{salt: keccak256("seat")}(deployer);
        address[] memory nobody = new address[](0);
        address[] memory anybody = new address[](1);
        timelock = new TimelockController(2, nobody, anybody, deployer);
        council = new Council(token, timelock, 5, 25);
        timelock.grantRole(timelock.PROPOSER_ROLE(), address(council));
        timelock.renounceRole(timelock.DEFAULT_ADMIN_ROLE(), deployer);
        token.delegate(deployer);
        seat.mint(deployer);
        token.transferOwnership(address(timelock));
        seat.transferOwnership(address(timelock));
        vm.stopBroadcast();
    }
}
