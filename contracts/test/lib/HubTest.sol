// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAnchor} from "../../src/interfaces/IAnchor.sol";
import {IBridge} from "../../src/interfaces/IBridge.sol";
import {IEscapeHatch, ProvenStatement} from "../../src/interfaces/IEscapeHatch.sol";
import {IHubQueue} from "../../src/interfaces/IHubQueue.sol";
import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {Range} from "../../src/lib/Words.sol";
import "../../src/Types.sol";
import {Naive} from "./Naive.sol";
import {Test} from "./Test.sol";

interface IHub {
    function addresses() external view returns (Addresses memory);
}

interface IToken {
    function mint(address to, uint256 amount) external;
    function approve(address spender, uint256 amount) external returns (bool);
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
}

struct Implementations {
    address registry;
    address queue;
    address anchor;
    address bridge;
    address hatch;
}

struct HubConfig {
    RegistryConfig registry;
    AnchorConfig anchor;
    BridgeConfig bridge;
    Registration router;
}

/// @notice A hub made of the committed artifacts, with an exchange (1), an EVM (2), and a sequencer
/// and committee that sign what a test asks for.
abstract contract HubTest is Test {
    struct Draft {
        Commitment c;
        Statement[] s;
        NetTransfer[] t;
    }

    uint32 internal constant ROUTER = 0;
    uint32 internal constant EXCHANGE = 1;
    uint32 internal constant EVM = 2;
    address internal constant ETHER = address(0);
    bytes32 internal constant NETWORK = keccak256("network");
    uint256 internal constant SEQUENCER_KEY = 0x5e9;
    uint32 internal constant WINDOW = 1 days;
    uint32 internal constant DEADLINE = 12 hours;
    uint32 internal constant SILENCE = 2 days;
    uint32 internal constant DERIVATION = 3 days;
    uint32 internal constant MAX_FREEZE = 7 days;
    uint96 internal constant CHALLENGE_BOND = 1 ether;
    uint96 internal constant DERIVED_BOND = 2 ether;
    uint96 internal constant REGISTRATION_BOND = 0.5 ether;
    uint64 internal constant UPGRADE_DELAY = 1000;
    uint32 internal constant MAX_PAUSE = 3 days;
    uint32 internal constant COOLDOWN = 10 days;

    address internal timelock = address(0x71);
    address internal guardian = address(0x6a);
    address internal owner = address(0x0e);
    address internal alice = address(0xa11ce);
    address internal bob = address(0xb0b);
    address internal carol = address(0xca401);

    IHub internal hub;
    IRegistry internal registry;
    IHubQueue internal queue;
    IAnchor internal anchor;
    IBridge internal bridge;
    IEscapeHatch internal hatch;
    IToken internal usdc;

    uint256[] internal committeeKeys;
    bytes32[] internal leaves;
    Withdrawal[] internal withdrawals;
    /// @dev Post roots of the statements of each commitment, by environment.
    mapping(uint64 => mapping(uint32 => bytes32)) internal heads;
    mapping(uint64 => bytes) private _drafts;
    uint32[] internal environments;
    bytes private _expected;
    uint256 internal slots = 10;

    receive() external payable {}

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        usdc = IToken(create("TestToken", abi.encode("USD Coin", "USDC", uint8(6))));
        _deployHub();
        vm.deal(owner, 10 ether);
        vm.startPrank(owner);
        registry.register{value: REGISTRATION_BOND}(registration("exchange", VmKind.Exchange));
        registry.register{value: REGISTRATION_BOND}(registration("evm", VmKind.Evm));
        vm.stopPrank();
        environments.push(ROUTER);
        environments.push(EXCHANGE);
        environments.push(EVM);
        for (uint32 e = 0; e < 3; ++e) {
            heads[0][e] = genesis(e);
        }
        vm.deal(alice, 1000 ether);
        vm.deal(bob, 1000 ether);
        vm.deal(carol, 1000 ether);
        address[3] memory users = [alice, bob, carol];
        for (uint256 i = 0; i < 3; ++i) {
            usdc.mint(users[i], 1e12);
            vm.prank(users[i]);
            usdc.approve(address(bridge), type(uint256).max);
        }
    }

    function _deployHub() private {
        Implementations memory i = Implementations(
            create("Registry", ""), create("HubQueue", ""), create("Anchor", ""), create("Bridge", ""),
            create("EscapeHatch", "")
        );
        hub = IHub(create("Hub", abi.encode(i, timelock, guardian, hubConfig())));
        Addresses memory a = hub.addresses();
        registry = IRegistry(a.registry);
        queue = IHubQueue(a.queue);
        anchor = IAnchor(a.anchor);
        bridge = IBridge(a.bridge);
        hatch = IEscapeHatch(a.hatch);
    }

    function hubConfig() internal returns (HubConfig memory c) {
        c.registry = RegistryConfig(REGISTRATION_BOND, 1 hours, 30 days, UPGRADE_DELAY);
        c.anchor.network = NETWORK;
        c.anchor.sequencer = vm.addr(SEQUENCER_KEY);
        c.anchor.committee = _makeCommittee();
        c.anchor.threshold = 2;
        c.anchor.blobs = true;
        c.anchor.inclusionDeadline = DEADLINE;
        c.anchor.silence = SILENCE;
        c.anchor.derivation = DERIVATION;
        c.anchor.maxFreeze = MAX_FREEZE;
        c.anchor.challengeBond = CHALLENGE_BOND;
        c.anchor.derivedBond = DERIVED_BOND;
        c.bridge = BridgeConfig(MAX_PAUSE, COOLDOWN);
        c.router = registration("router", VmKind.Router);
    }

    /// @dev Three members, their keys in ascending order of address.
    function _makeCommittee() private returns (address[] memory members) {
        uint256[3] memory keys = [uint256(0xc1), 0xc2, 0xc3];
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 j = i + 1; j < 3; ++j) {
                if (vm.addr(keys[j]) < vm.addr(keys[i])) (keys[i], keys[j]) = (keys[j], keys[i]);
            }
        }
        delete committeeKeys;
        members = new address[](3);
        for (uint256 i = 0; i < 3; ++i) {
            committeeKeys.push(keys[i]);
            members[i] = vm.addr(keys[i]);
        }
    }

    function registration(string memory name, VmKind kind) internal view returns (Registration memory r) {
        r.name = name;
        r.version = version(0, kind, 1);
        r.genesisRoot = keccak256(bytes(name));
        if (kind == VmKind.Router) return r;
        r.tokens = new TokenUnit[](2);
        r.tokens[0] = TokenUnit(ETHER, 1 gwei);
        r.tokens[1] = TokenUnit(address(usdc), 10);
    }

    function version(uint64 slot, VmKind kind, uint32 number) internal pure returns (Version memory v) {
        v.activationSlot = slot;
        v.vmVersion = number;
        v.vmKind = kind;
        v.specHash = keccak256(abi.encode("spec", kind, number));
        v.programId = keccak256(abi.encode("program", kind, number));
        v.policy = Policy(WINDOW, address(0));
    }

    function genesis(uint32 e) internal pure returns (bytes32) {
        if (e == ROUTER) return keccak256("router");
        return e == EXCHANGE ? keccak256("exchange") : keccak256("evm");
    }

    /// @notice Deploys a committed artifact.
    function create(string memory name, bytes memory arguments) internal returns (address deployed) {
        string memory json = vm.readFile(string.concat("artifacts/", name, ".json"));
        bytes memory code = bytes.concat(vm.parseJsonBytes(json, ".bytecode"), arguments);
        assembly ("memory-safe") {
            deployed := create(0, add(code, 0x20), mload(code))
        }
        assertTrue(deployed != address(0), string.concat("cannot create ", name));
    }

    // ---- commitments ----

    /// @notice The next commitment: all live environments, all queue entries, all withdrawals.
    function draft() internal view returns (Draft memory d) {
        uint64 number = anchor.last() + 1;
        d.c.number = number;
        d.c.firstSlot = anchor.lastSlot() + 1;
        d.c.lastSlot = uint64(d.c.firstSlot + slots - 1);
        d.c.cursor = queue.length();
        d.c.queueHash = queue.hashAt(d.c.cursor);
        d.c.slotHash = keccak256(abi.encode("slot", d.c.lastSlot));
        d.c.data = keccak256(abi.encode("data", number));
        d.s = new Statement[](environments.length);
        for (uint256 i = 0; i < environments.length; ++i) {
            uint32 e = environments[i];
            Version memory v = registry.versionAt(e, d.c.firstSlot);
            Statement memory s = d.s[i];
            (s.environment, s.specHash, s.programId) = (e, v.specHash, v.programId);
            (s.firstTimeUs, s.lastTimeUs) = (d.c.firstSlot * 1e5, d.c.lastSlot * 1e5);
            s.preRoot = heads[number - 1][e];
            if (s.preRoot == 0) s.preRoot = genesis(e);
            s.postRoot = keccak256(abi.encode("root", number, e, time()));
            s.batch = keccak256(abi.encode("batch", number, e));
        }
        withWithdrawals(d);
    }

    function withWithdrawals(Draft memory d) internal view {
        (d.c.withdrawalsRoot,) = Naive.withdrawalTree(leaves, 0);
        d.c.withdrawalsCount = uint64(leaves.length);
    }

    /// @notice Appends a leaf to the tree of withdrawals; it is in the next draft.
    function withdraw(uint32 environment, address token, address to, uint256 amount)
        internal
        returns (Withdrawal memory w)
    {
        w = Withdrawal(uint64(leaves.length), environment, alice, to, token, amount);
        leaves.push(Naive.withdrawal(w));
        withdrawals.push(w);
    }

    function proofOf(uint64 index) internal view returns (bytes32[32] memory siblings) {
        (, siblings) = Naive.withdrawalTree(leaves, index);
    }

    function transfer(Draft memory d, uint32 from, uint32 to, address token, int256 amount) internal pure {
        d.t = new NetTransfer[](2);
        bool up = from < to;
        d.t[0] = NetTransfer(up ? from : to, token, up ? -amount : amount);
        d.t[1] = NetTransfer(up ? to : from, token, up ? amount : -amount);
    }

    function rangeOf(Draft memory d) internal view returns (Range memory) {
        return Range(
            NETWORK, d.c.firstSlot, d.c.lastSlot, anchor.record(anchor.last()).cursor, d.c.cursor
        );
    }

    function hashOf(Draft memory d) internal view returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](d.s.length);
        for (uint256 i = 0; i < d.s.length; ++i) {
            hashes[i] = Naive.statement(d.s[i], rangeOf(d));
        }
        bytes32 previous = anchor.record(anchor.last()).hash;
        return Naive.commitment(d.c, NETWORK, previous, Naive.merkle(hashes), Naive.transfers(d.t));
    }

    /// @notice The call after the next helper's preparations must revert with this.
    function expect(bytes memory data) internal {
        _expected = data;
    }

    function expect(bytes4 selector) internal {
        _expected = abi.encodePacked(selector);
    }

    function armed() internal {
        if (_expected.length == 0) return;
        bytes memory data = _expected;
        delete _expected;
        vm.expectRevert(data);
    }

    function seal(Draft memory d) internal pure {
        if (d.s.length == 0) return;
        d.s[0].outbox = Naive.routerOutbox(d.c.withdrawalsRoot, d.c.withdrawalsCount, Naive.transfers(d.t));
    }

    function signed(uint256 key, bytes32 hash) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        return abi.encodePacked(r, s, v);
    }

    function certificate(Draft memory d, uint256 members) internal view returns (bytes[] memory signatures) {
        bytes32 hash = Naive.availability(NETWORK, d.c.firstSlot, d.c.lastSlot, d.c.data);
        signatures = new bytes[](members);
        for (uint256 i = 0; i < members; ++i) {
            signatures[i] = signed(committeeKeys[i], hash);
        }
    }

    /// @notice Anchors a draft as the sequencer does.
    function post(Draft memory d) internal {
        seal(d);
        postAs(d, signed(SEQUENCER_KEY, hashOf(d)), certificate(d, 2), new uint256[](0), 0);
    }

    /// @notice Anchors a draft without the sequencer.
    function postDerived(Draft memory d, uint256 bond) internal {
        seal(d);
        postAs(d, "", certificate(d, d.c.data == 0 ? 0 : 2), new uint256[](0), bond);
    }

    function postAs(Draft memory d, bytes memory signature, bytes[] memory certs, uint256[] memory blobs, uint256 bond)
        internal
    {
        armed();
        anchor.anchor{value: bond}(d.c, d.s, d.t, signature, certs, blobs);
        _afterAnchor();
        // Nothing of this is reached by a call that was expected to revert: `last` tells.
        if (anchor.last() != d.c.number) return;
        for (uint256 i = 0; i < d.s.length; ++i) {
            heads[d.c.number][d.s[i].environment] = d.s[i].postRoot;
        }
        keep(d);
    }

    /// @dev Called right after a commitment was sent.
    function _afterAnchor() internal virtual {}

    function keep(Draft memory d) internal {
        _drafts[d.c.number] = abi.encode(d);
    }

    function posted(uint64 number) internal view returns (Draft memory) {
        return abi.decode(_drafts[number], (Draft));
    }

    function next() internal returns (uint64) {
        Draft memory d = draft();
        post(d);
        return d.c.number;
    }

    function settle(uint64 number) internal {
        NetTransfer[] memory t = _drafts[number].length == 0 ? new NetTransfer[](0) : posted(number).t;
        armed();
        anchor.settle(number, t);
    }

    /// @notice Anchors what there is and settles it.
    function settleNext() internal returns (uint64 number) {
        number = next();
        vm.warp(time() + WINDOW);
        for (uint64 n = anchor.lastSettled() + 1; n <= number; ++n) {
            settle(n);
        }
    }

    function statementPath(uint64 number, uint256 index) internal view returns (bytes32[] memory) {
        Draft memory d = posted(number);
        bytes32[] memory hashes = new bytes32[](d.s.length);
        for (uint256 i = 0; i < d.s.length; ++i) {
            hashes[i] = anchor.statementHash(number, d.s[i]);
        }
        return Naive.merklePath(hashes, index);
    }

    function proven(uint64 number, uint256 index) internal view returns (ProvenStatement memory) {
        return ProvenStatement(posted(number).s[index], index, statementPath(number, index));
    }

    function challenge(uint64 number, uint256 index, address by) internal {
        Statement memory s = posted(number).s[index];
        bytes32[] memory path = statementPath(number, index);
        armed();
        vm.prank(by);
        anchor.challenge{value: CHALLENGE_BOND}(number, s, index, path, "claim");
    }

    /// @notice Makes the environments live.
    function boot() internal {
        next();
    }

    function depositETH(address from, uint32 environment, uint256 amount) internal returns (uint64) {
        vm.prank(from);
        return bridge.depositETH{value: amount}(environment, from);
    }

    function deposit(address from, uint32 environment, uint256 amount) internal returns (uint64) {
        vm.prank(from);
        return bridge.deposit(environment, address(usdc), from, amount);
    }
}
