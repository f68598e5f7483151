// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ProvenStatement} from "../src/interfaces/IEscapeHatch.sol";
import {StateObjects} from "../src/lib/StateObjects.sol";
import "../src/Types.sol";
import {HubTest} from "./lib/HubTest.sol";
import {Naive} from "./lib/Naive.sol";

/// @notice What each call costs as a transaction of its own (`gas.cjs` runs this with `--isolate`):
/// intrinsic gas and calldata included, every slot cold. "First" means storage that was zero.
contract GasTable is HubTest {
    string private _table;

    uint256 private _anchorGas;

    function _afterAnchor() internal override {
        _anchorGas = vm.lastCallGas().gasTotalUsed;
    }

    function _anchorRow(string memory name) private {
        _table = string.concat(_table, name, "=", vm.toString(_anchorGas), "\n");
    }

    function _row(string memory name) private {
        _table = string.concat(_table, name, "=", vm.toString(vm.lastCallGas().gasTotalUsed), "\n");
    }

    function test_gas_table() public {
        boot();
        Registration memory third = registration("third", VmKind.Exchange);
        vm.startPrank(alice);
        registry.register{value: REGISTRATION_BOND}(third);
        _row("register an environment of two tokens");
        bridge.depositETH{value: 1 ether}(EXCHANGE, alice);
        _row("depositETH, first of the environment");
        bridge.depositETH{value: 9 ether}(EXCHANGE, alice);
        _row("depositETH");
        bridge.deposit(EXCHANGE, address(usdc), alice, 100);
        _row("deposit ERC-20, first of the environment");
        bridge.deposit(EXCHANGE, address(usdc), alice, 900);
        _row("deposit ERC-20");
        queue.force(EVM, new bytes(0x100));
        _row("force, 256 bytes");
        bridge.fund{value: 1 ether}(EXCHANGE, ETHER, 1 ether);
        _row("fund ETH");
        vm.stopPrank();

        Withdrawal memory a = withdraw(EXCHANGE, ETHER, bob, 1 ether);
        Withdrawal memory b = withdraw(EXCHANGE, address(usdc), bob, 100);
        Withdrawal memory c = withdraw(EXCHANGE, ETHER, bob, 1 ether);
        Withdrawal memory d = withdraw(EXCHANGE, address(usdc), bob, 100);
        _states();
        settle(2);
        _row("settle");
        vm.warp(time() + WINDOW);
        _moving();
        vm.warp(time() + WINDOW);
        settle(4);
        _row("settle with 2 net transfers");

        bridge.claim(2, a, proofOf(0));
        _row("claim ETH, first of the environment");
        bridge.claim(2, b, proofOf(1));
        _row("claim ERC-20, first of the environment");
        bridge.claim(2, c, proofOf(2));
        _row("claim ETH");
        bridge.claim(2, d, proofOf(3));
        _row("claim ERC-20");

        next();
        challenge(5, 1, carol);
        _row("challenge");
        vm.prank(timelock);
        anchor.resolve(5, false);
        _row("resolve, rejected");
        _undecided();
        _escape();
        if (vm.envExists("ATOLL_GAS_TABLE")) vm.writeFile("out/gas.txt", _table);
    }

    Naive.Node[] private _router;
    Naive.Node[] private _exchange;

    function _states() private {
        bytes memory ledger = abi.encode(uint256(10 ether), uint256(0), uint256(0), uint256(2 ether));
        _router.push(Naive.object(StateObjects.ledgerKey(EXCHANGE, ETHER), ledger));
        _exchange.push(Naive.object(StateObjects.claimKey(alice, ETHER), abi.encode(uint256(5 ether))));
        _exchange.push(Naive.object(StateObjects.claimTotalKey(ETHER), abi.encode(uint256(5 ether))));
        // About what a state of a thousand objects needs.
        for (uint256 i = 0; i < 200; ++i) {
            _exchange.push(Naive.object(abi.encode(i), ""));
        }
        Draft memory d = draft();
        d.s[0].postRoot = Naive.trie(_router, 0);
        d.s[1].postRoot = Naive.trie(_exchange, 0);
        post(d);
        vm.warp(time() + WINDOW);
        settle(1);
        next();
        _anchorRow("anchor, 3 environments");
    }

    function _moving() private {
        Draft memory d = draft();
        d.s[0].postRoot = Naive.trie(_router, 0);
        d.s[1].postRoot = Naive.trie(_exchange, 0);
        transfer(d, EXCHANGE, EVM, ETHER, 1 ether);
        post(d);
        _anchorRow("anchor, 3 environments and 2 net transfers");
        settle(3);
    }

    /// @dev A challenge that nobody decides.
    function _undecided() private {
        Draft memory d = draft();
        transfer(d, EXCHANGE, EVM, ETHER, 1 ether);
        post(d);
        challenge(5, 1, alice);
        vm.warp(time() + MAX_FREEZE);
        anchor.expireFreeze(5);
        _row("expireFreeze");
        NetTransfer[][] memory lists = new NetTransfer[][](1);
        lists[0] = d.t;
        anchor.unwind(lists);
        _row("unwind 2 net transfers");
    }

    function _escape() private {
        vm.prank(alice);
        bridge.depositETH{value: 3 ether}(EXCHANGE, alice);
        Entry memory e = Entry(5, 1, EXCHANGE, alice, alice, ETHER, 3 ether, "", uint64(time()));
        vm.warp(time() + SILENCE + DERIVATION);
        hatch.open();
        _row("open");
        _openExit();
        _row("openExit");
        bytes32[] memory path = Naive.triePath(_exchange, sha256(StateObjects.claimKey(alice, ETHER)));
        hatch.exit(EXCHANGE, ETHER, alice, abi.encode(uint256(5 ether)), path);
        _row(string.concat("exit, ", vm.toString(path.length), " siblings"));
        hatch.refundDeposit(e);
        _row("refundDeposit");
        vm.prank(carol);
        anchor.withdrawOwed(payable(carol));
        _row("withdrawOwed");
    }

    function _openExit() private {
        ProvenStatement memory router = proven(4, 0);
        ProvenStatement memory exchange = proven(4, 1);
        bytes32[] memory ledger = Naive.triePath(_router, sha256(StateObjects.ledgerKey(EXCHANGE, ETHER)));
        bytes32[] memory total = Naive.triePath(_exchange, sha256(StateObjects.claimTotalKey(ETHER)));
        hatch.openExit(ETHER, router, exchange, Ledger(10 ether, 0, 0, 2 ether), ledger, 5 ether, total);
    }
}
