// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAnchor} from "../src/interfaces/IAnchor.sol";
import {ProvenStatement} from "../src/interfaces/IEscapeHatch.sol";
import {StateObjects} from "../src/lib/StateObjects.sol";
import "../src/Types.sol";
import {HubTest} from "./lib/HubTest.sol";
import {Naive} from "./lib/Naive.sol";

/// @notice Does whatever users, sequencer, challengers and timelock may do, in any order, and keeps
/// books of its own that know nothing of the contracts.
contract Actor is HubTest {
    /// @dev Environment, token → what came in, and what was paid out.
    mapping(uint32 => mapping(address => uint256)) public came;
    mapping(uint32 => mapping(address => uint256)) public paid;
    /// @dev What settled transfers brought (or took).
    mapping(uint32 => mapping(address => int256)) private _moved;
    mapping(uint64 => uint256) public payments;
    mapping(uint64 => bytes32) private _settledRoot;
    /// @dev The honest router's ledger balance: what may still leave an environment.
    mapping(uint32 => mapping(address => uint256)) private _balance;
    Entry[] private _entries;
    mapping(uint256 => bool) private _refunded;
    /// @dev Commitment → token → what the states say that the exchange's exits rely on.
    mapping(uint64 => mapping(address => uint256)) private _withdrawn;
    mapping(uint64 => mapping(address => uint256)) private _claims;
    mapping(address => mapping(address => bool)) private _exited;
    uint256[12] public done;

    constructor() {
        vm.deal(address(this), 1_000_000 ether);
        HubTest.setUp();
        boot();
        for (uint32 e = EXCHANGE; e <= EVM; ++e) {
            bridge.fund{value: 20 ether}(e, ETHER, 20 ether);
            _book(e, ETHER, 20 ether);
        }
    }

    /// @dev A handler is no test contract of its own.
    function setUp() public override {}

    function tokens() public view returns (address[2] memory) {
        return [ETHER, address(usdc)];
    }

    function hubBridge() external view returns (address) {
        return address(bridge);
    }

    function _book(uint32 e, address token, uint256 amount) private {
        came[e][token] += amount;
        _balance[e][token] += amount;
    }

    function _env(uint256 x) private pure returns (uint32) {
        return x % 2 == 0 ? EXCHANGE : EVM;
    }

    function _token(uint256 x) private view returns (address) {
        return x % 3 == 0 ? address(usdc) : ETHER;
    }

    function _user(uint256 x) private view returns (address) {
        return [alice, bob, carol][x % 3];
    }

    function doDeposit(uint256 x, uint256 amount) external {
        if (queue.closed()) return;
        (uint32 e, address token, address from) = (_env(x), _token(x), _user(x >> 8));
        amount = bound(amount, 1, 1000) * (token == ETHER ? 1e15 : 10);
        if (token == ETHER) depositETH(from, e, amount);
        else deposit(from, e, amount);
        _entries.push(Entry(uint64(_entries.length), 1, e, from, from, token, amount, "", uint64(time())));
        _book(e, token, amount);
        done[0]++;
    }

    function doForce(uint256 x) external {
        if (queue.closed()) return;
        vm.prank(_user(x));
        queue.force(_env(x), abi.encode(x));
        _entries.push(Entry(uint64(_entries.length), 2, _env(x), _user(x), ETHER, ETHER, 0, abi.encode(x), uint64(time())));
        done[1]++;
    }

    function doFund(uint256 x, uint256 amount) external {
        if (queue.closed()) return;
        uint32 e = _env(x);
        amount = bound(amount, 1, 1 ether);
        bridge.fund{value: amount}(e, ETHER, amount);
        _book(e, ETHER, amount);
        done[2]++;
    }

    /// @dev A commitment with transfers and withdrawals; in one of eight cases the sequencer lies
    /// and withdraws or transfers more than there is.
    function doAnchor(uint256 x, uint256 amount) external {
        if (anchor.closed() || anchor.unwindFrom() != 0) return;
        if (anchor.last() - anchor.lastSettled() > 6) return;
        bool lies = x % 8 == 0;
        (uint32 from, address token) = (_env(x >> 3), _token(x >> 4));
        uint256 limit = _balance[from][token];
        if (lies) limit += 50 ether;
        if (x & 0x10000 != 0 && limit != 0) {
            uint256 w = bound(amount, 1, limit);
            withdraw(from, token, _user(x >> 40), w);
            _balance[from][token] = w > _balance[from][token] ? 0 : _balance[from][token] - w;
            limit -= w > limit ? limit : w;
        }
        Draft memory d = draft();
        _states(d, lies);
        if (x & 0x20000 != 0 && limit != 0) {
            uint256 moved = bound(amount >> 9, 1, limit);
            uint32 to = from == EXCHANGE ? EVM : EXCHANGE;
            transfer(d, from, to, token, int256(moved));
            seal(d);
            bytes memory signature = signed(SEQUENCER_KEY, hashOf(d));
            uint256[] memory none = new uint256[](0);
            try anchor.anchor(d.c, d.s, d.t, signature, certificate(d, 2), none) {
                _remember(d);
                _balance[from][token] = moved > _balance[from][token] ? 0 : _balance[from][token] - moved;
                _balance[to][token] += moved;
                done[3]++;
            } catch {}
            return;
        }
        post(d);
        done[4]++;
    }

    function _remember(Draft memory d) private {
        for (uint256 i = 0; i < d.s.length; ++i) {
            heads[d.c.number][d.s[i].environment] = d.s[i].postRoot;
        }
        keep(d);
    }

    function doWait(uint256 x) external {
        vm.warp(time() + bound(x, 1 hours, 1 days));
    }

    function doSettle() external {
        if (anchor.last() > anchor.lastSettled() && !anchor.closed()) _trySettle();
    }

    function _trySettle() private returns (bool) {
        uint64 number = anchor.lastSettled() + 1;
        NetTransfer[] memory t = posted(number).t;
        try anchor.settle(number, t) {
            _settledRoot[number] = keccak256(abi.encode(anchor.record(number)));
            for (uint256 i = 0; i < t.length; ++i) {
                _moved[t[i].environment][t[i].token] += t[i].delta;
            }
            done[5]++;
            return true;
        } catch {
            return false;
        }
    }

    function doChallenge(uint256 x) external {
        if (anchor.last() <= anchor.lastSettled() || anchor.closed()) return;
        uint64 number = uint64(bound(x, anchor.lastSettled() + 1, anchor.last()));
        Statement memory s = posted(number).s[x % 3];
        bytes32[] memory path = statementPath(number, x % 3);
        vm.prank(_user(x));
        try anchor.challenge{value: CHALLENGE_BOND}(number, s, x % 3, path, "") {
            done[6]++;
        } catch {}
    }

    function doResolve(uint256 x) external {
        for (uint64 n = anchor.lastSettled() + 1; n <= anchor.last(); ++n) {
            if (anchor.statusOf(n) != Status.Challenged) continue;
            uint64 before = anchor.last();
            vm.prank(timelock);
            anchor.resolve(n, x % 3 != 0);
            if (x % 3 == 0) _unwind(before, n);
            done[7]++;
            return;
        }
    }

    function _unwind(uint64 last, uint64 from) private {
        if (anchor.unwindFrom() == 0) return;
        NetTransfer[][] memory lists = new NetTransfer[][](last - from + 1);
        uint256 n = 0;
        for (uint64 i = last; i >= from; --i) {
            if (i > anchor.last()) continue;
            NetTransfer[] memory t = posted(i).t;
            if (t.length != 0) lists[n++] = t;
        }
        assembly ("memory-safe") {
            mstore(lists, n)
        }
        anchor.unwind(lists);
        // What was withdrawn in the rejected ones is no more.
        while (leaves.length > anchor.record(anchor.last()).withdrawalsCount) {
            leaves.pop();
            withdrawals.pop();
        }
    }

    function doClaim(uint256 x) external {
        uint64 number = anchor.lastSettled();
        if (number == 0 || leaves.length == 0) return;
        uint64 count = anchor.record(number).withdrawalsCount;
        if (count == 0) return;
        uint64 index = uint64(x % count);
        Withdrawal memory w = withdrawals[index];
        // Leaves after the settled ones are not in its tree.
        bytes32[] memory seen = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            seen[i] = leaves[i];
        }
        (, bytes32[32] memory proof) = Naive.withdrawalTree(seen, index);
        uint256 before = w.token == ETHER ? w.to.balance : usdc.balanceOf(w.to);
        try bridge.claim(number, w, proof) {
            uint256 got = (w.token == ETHER ? w.to.balance : usdc.balanceOf(w.to)) - before;
            payments[index] += 1;
            paid[w.environment][w.token] += got;
            done[8]++;
        } catch {}
    }

    /// @dev Rare: it ends everything but the exits.
    function doOpen(uint256 x) external {
        if (x % 16 != 0 || anchor.closed() || done[5] < 2) return;
        // Nobody will consume this one.
        this.doDeposit(x >> 5, x >> 64);
        vm.warp(time() + SILENCE + DERIVATION);
        uint64 last = anchor.last();
        while (anchor.lastSettled() < last && _trySettle()) {}
        try hatch.open() {
            _unwind(last, anchor.lastSettled() + 1);
            done[9]++;
        } catch {}
    }

    function doRefund(uint256 x) external {
        if (!anchor.closed() || _entries.length == 0) return;
        uint256 back = bound(x, 1, _entries.length < 8 ? _entries.length : 8);
        Entry memory e = _entries[_entries.length - back];
        uint256 before = e.token == ETHER ? e.from.balance : usdc.balanceOf(e.from);
        try hatch.refundDeposit(e) {
            assertTrue(!_refunded[e.index], "refunded once");
            _refunded[e.index] = true;
            paid[e.environment][e.token] += (e.token == ETHER ? e.from.balance : usdc.balanceOf(e.from)) - before;
            done[10]++;
        } catch {}
    }

    /// @dev The same claims always: at times there is enough for them, at times there is not.
    function _claimOf(uint256 user, address token) private pure returns (uint256) {
        return (user + 1) ** 3 * (token == ETHER ? 1 ether : 1000);
    }

    function _ledgerAt(uint64 number, address token) private view returns (Ledger memory) {
        return Ledger(1e30, 0, 0, _withdrawn[number][token]);
    }

    /// @dev Ledgers and claims of the exchange; who lies says that the claims' sum is half of it.
    function _states(Draft memory d, bool lies) private {
        uint64 number = d.c.number;
        address[2] memory list = tokens();
        for (uint256 i = 0; i < 2; ++i) {
            uint256 sum = 0;
            for (uint256 j = 0; j < withdrawals.length; ++j) {
                Withdrawal memory w = withdrawals[j];
                if (w.environment == EXCHANGE && w.token == list[i]) sum += w.amount;
            }
            _withdrawn[number][list[i]] = sum;
            sum = 0;
            for (uint256 j = 0; j < 3; ++j) {
                sum += _claimOf(j, list[i]);
            }
            _claims[number][list[i]] = lies ? sum / 2 : sum;
        }
        d.s[0].postRoot = Naive.trie(_routerState(number), 0);
        d.s[1].postRoot = Naive.trie(_exchangeState(number), 0);
    }

    function _routerState(uint64 number) private view returns (Naive.Node[] memory nodes) {
        nodes = new Naive.Node[](2);
        for (uint256 i = 0; i < 2; ++i) {
            address token = tokens()[i];
            bytes memory value = StateObjects.ledgerValue(_ledgerAt(number, token));
            nodes[i] = Naive.object(StateObjects.ledgerKey(EXCHANGE, token), value);
        }
    }

    function _exchangeState(uint64 number) private view returns (Naive.Node[] memory nodes) {
        nodes = new Naive.Node[](8);
        for (uint256 i = 0; i < 2; ++i) {
            address token = tokens()[i];
            for (uint256 j = 0; j < 3; ++j) {
                bytes memory key = StateObjects.claimKey(_user(j), token);
                nodes[4 * i + j] = Naive.object(key, abi.encode(_claimOf(j, token)));
            }
            nodes[4 * i + 3] = Naive.object(StateObjects.claimTotalKey(token), abi.encode(_claims[number][token]));
        }
    }

    /// @dev Opens the exchange's exit of a token when it is not yet, and takes an account's claim.
    function doExit(uint256 x) external {
        if (!anchor.closed()) return;
        (address token, address account) = (_token(x), _user(x >> 8));
        uint64 number = anchor.lastSettled();
        Naive.Node[] memory state = _exchangeState(number);
        if (!hatch.exitOf(EXCHANGE, token).opened) _openExit(number, token, state);
        bytes32[] memory path = Naive.triePath(state, sha256(StateObjects.claimKey(account, token)));
        uint256 before = token == ETHER ? account.balance : usdc.balanceOf(account);
        bytes memory claim = abi.encode(_claimOf((x >> 8) % 3, token));
        try hatch.exit(EXCHANGE, token, account, claim, path) {
            assertTrue(!_exited[token][account], "paid once");
            _exited[token][account] = true;
            paid[EXCHANGE][token] += (token == ETHER ? account.balance : usdc.balanceOf(account)) - before;
            done[11]++;
        } catch {}
        assertTrue(hatch.exitOf(EXCHANGE, token).paid <= hatch.exitOf(EXCHANGE, token).pool, "not above the pool");
    }

    function _openExit(uint64 number, address token, Naive.Node[] memory state) private {
        bytes32[] memory ledger =
            Naive.triePath(_routerState(number), sha256(StateObjects.ledgerKey(EXCHANGE, token)));
        bytes32[] memory total = Naive.triePath(state, sha256(StateObjects.claimTotalKey(token)));
        hatch.openExit(
            token, proven(number, 0), proven(number, 1), _ledgerAt(number, token), ledger, _claims[number][token], total
        );
    }

    // ---- what must hold ----

    function checkBalances() external view {
        address[2] memory list = tokens();
        for (uint256 i = 0; i < 2; ++i) {
            address token = list[i];
            uint256 sum = bridge.pendingCredits(token) + bridge.escrow(ROUTER, token);
            for (uint32 e = EXCHANGE; e <= EVM; ++e) {
                sum += bridge.escrow(e, token);
            }
            uint256 balance = token == ETHER ? address(bridge).balance : usdc.balanceOf(address(bridge));
            assertEq(sum, balance, "escrow and pending credits = balance");
            assertEq(bridge.accounted(token), balance, "accounted = balance");
        }
    }

    function checkPayments() external view {
        address[2] memory list = tokens();
        for (uint256 i = 0; i < 2; ++i) {
            uint256 all = 0;
            uint256 out = 0;
            for (uint32 e = EXCHANGE; e <= EVM; ++e) {
                all += came[e][list[i]];
                out += paid[e][list[i]];
                assertTrue(bridge.claimed(e, list[i]) <= paid[e][list[i]], "claimed is paid");
                // Exactly what came in and was moved by settled transfers, less what was paid and
                // what unsettled ones took.
                int256 expected = int256(came[e][list[i]]) + _moved[e][list[i]] - int256(paid[e][list[i]]);
                expected -= _taken(e, list[i]);
                assertEq(bridge.escrow(e, list[i]), uint256(expected), "escrow of the environment");
            }
            assertTrue(out <= all, "no more goes out than came in");
            assertEq(all - out, bridge.accounted(list[i]), "what came and was not paid is there");
        }
        for (uint64 i = 0; i < 64; ++i) {
            assertTrue(payments[i] <= 1, "a withdrawal pays once");
            assertTrue((payments[i] == 1) == bridge.isClaimed(i), "claimed as booked");
        }
    }

    function _taken(uint32 e, address token) private view returns (int256 sum) {
        for (uint64 n = anchor.lastSettled() + 1; n <= anchor.last(); ++n) {
            NetTransfer[] memory t = posted(n).t;
            for (uint256 i = 0; i < t.length; ++i) {
                if (t[i].environment == e && t[i].token == token && t[i].delta < 0) sum -= t[i].delta;
            }
        }
    }

    function checkSettled() external view {
        for (uint64 n = 1; n <= anchor.lastSettled(); ++n) {
            if (_settledRoot[n] == 0) continue;
            assertTrue(anchor.statusOf(n) == Status.Settled, "settled stays settled");
            assertEq(keccak256(abi.encode(anchor.record(n))), _settledRoot[n], "settled never changes");
        }
    }

    function checkBonds() external view {
        uint256 sum = 0;
        address[5] memory who = [alice, bob, carol, address(this), vm.addr(SEQUENCER_KEY)];
        for (uint256 i = 0; i < 5; ++i) {
            sum += IOwed(address(anchor)).owed(who[i]);
        }
        for (uint64 n = anchor.lastSettled() + 1; n <= anchor.last(); ++n) {
            sum += anchor.challengeOf(n).bond;
        }
        assertEq(sum, address(anchor).balance, "bonds = balance");
    }
}

interface IOwed {
    function owed(address account) external view returns (uint256);
}

/// @notice Random call sequences. Every call goes through the actor.
contract InvariantsTest is HubTest {
    Actor private actor;

    function setUp() public override {
        vm.warp(1_800_000_000);
        actor = new Actor();
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(actor);
    }

    function _selectors() private pure returns (bytes4[] memory list) {
        list = new bytes4[](14);
        (list[0], list[1], list[2]) = (Actor.doDeposit.selector, Actor.doForce.selector, Actor.doFund.selector);
        (list[3], list[4], list[5]) = (Actor.doAnchor.selector, Actor.doWait.selector, Actor.doSettle.selector);
        (list[6], list[7]) = (Actor.doChallenge.selector, Actor.doResolve.selector);
        (list[8], list[9], list[10]) = (Actor.doClaim.selector, Actor.doOpen.selector, Actor.doRefund.selector);
        // What settles and pays needs several steps: they come twice as often.
        (list[11], list[12], list[13]) = (Actor.doSettle.selector, Actor.doClaim.selector, Actor.doExit.selector);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory list) {
        list = new FuzzSelector[](1);
        list[0] = FuzzSelector(address(actor), _selectors());
    }

    /// @dev The invariants mean something only if the calls do: each kind must have an effect.
    function test_random_calls_reach_everything() external {
        bytes4[] memory list = _selectors();
        for (uint256 i = 0; i < 1500; ++i) {
            uint256 x = uint256(keccak256(abi.encode(i)));
            // Not before the rest has had its turn.
            bytes4 selector = list[(x >> 128) % list.length];
            if (selector == Actor.doOpen.selector) {
                if (i < 1100) continue;
                x -= x % 16;
            }
            (bool ok,) = address(actor).call(abi.encodeWithSelector(selector, x, x >> 64));
            ok;
            if (i % 100 == 0) {
                actor.checkBalances();
                actor.checkPayments();
                actor.checkSettled();
                actor.checkBonds();
            }
        }
        for (uint256 i = 0; i < 12; ++i) {
            assertTrue(actor.done(i) != 0, string.concat("nothing of kind ", vm.toString(i)));
        }
    }

    function invariant_escrow_and_pending_credits_are_the_balance() external view {
        actor.checkBalances();
    }

    function invariant_no_more_is_paid_than_came_and_each_withdrawal_once() external view {
        actor.checkPayments();
    }

    function invariant_a_settled_commitment_never_changes() external view {
        actor.checkSettled();
    }

    function invariant_bonds_are_there() external view {
        actor.checkBonds();
    }
}
