// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {Council} from "../src/Council.sol";
import {MarketToken} from "../src/MarketToken.sol";
import {Seat} from "../src/Seat.sol";
import {vm} from "../lib/Vm.sol";

/// @notice Runs on a fork of the node: reads what the script deployed there, and goes on from it in memory.
contract DeployedTest {
    bool public constant IS_TEST = true;

    MarketToken internal token;
    Seat internal seat;
    TimelockController internal timelock;
    Council internal council;
    address internal deployer;

    error NotEqual(string what, uint256 left, uint256 right);

    function setUp() external {
        token = MarketToken(vm.envAddress("TOKEN"));
        seat = Seat(vm.envAddress("SEAT"));
        timelock = TimelockController(payable(vm.envAddress("TIMELOCK")));
        council = Council(payable(vm.envAddress("COUNCIL")));
        deployer = vm.addr(vm.envUint("DEPLOYER_KEY"));
    }

    function test_the_fork_is_the_node() external view {
        equal("chain id", block.chainid, 3002);
        equal("supply", token.totalSupply(), 1_000_000 ether);
        equal("votes", token.getVotes(deployer), 1_000_000 ether);
        equal("token's owner", uint160(token.owner()), uint160(address(timelock)));
        equal("seat's owner", uint160(seat.owner()), uint160(address(timelock)));
        equal("seat 1", uint160(seat.ownerOf(1)), uint160(deployer));
        equal("uri", uint256(keccak256(bytes(seat.tokenURI(1)))), uint256(keccak256("https://seats.example/1")));
        equal("delay", timelock.getMinDelay(), 2);
        equal("council's token", uint160(address(council.token())), uint160(address(token)));
    }

    function test_a_signed_allowance_is_taken() external {
        uint256 key = 0xa11ce;
        address holder = vm.addr(key);
        vm.prank(deployer);
        token.transfer(holder, 5 ether);
        bytes32 permit = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 content = keccak256(abi.encode(permit, holder, address(this), 3 ether, 0, block.timestamp));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), content)));
        token.permit(holder, address(this), 3 ether, block.timestamp, v, r, s);
        token.transferFrom(holder, address(0xb0b), 3 ether);
        equal("left", token.balanceOf(holder), 2 ether);
        equal("given", token.balanceOf(address(0xb0b)), 3 ether);
    }

    function test_nobody_but_the_timelock_mints() external {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        token.mint(address(this), 1);
    }

    function test_a_proposal_passes() external {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) =
            (new address[](1), new uint256[](1), new bytes[](1));
        targets[0] = address(token);
        calls[0] = abi.encodeCall(MarketToken.mint, (address(0xcafe), 7 ether));
        vm.prank(deployer);
        uint256 id = council.propose(targets, values, calls, "seven");
        vm.roll(council.proposalSnapshot(id) + 1);
        vm.prank(deployer);
        council.castVote(id, 1);
        vm.roll(council.proposalDeadline(id) + 1);
        equal("succeeded", uint256(council.state(id)), uint256(IGovernor.ProposalState.Succeeded));
        council.queue(targets, values, calls, keccak256("seven"));
        vm.warp(block.timestamp + 2);
        council.execute(targets, values, calls, keccak256("seven"));
        equal("minted", token.balanceOf(address(0xcafe)), 7 ether);
    }

    function equal(string memory what, uint256 left, uint256 right) internal pure {
        if (left != right) revert NotEqual(what, left, right);
    }
}
