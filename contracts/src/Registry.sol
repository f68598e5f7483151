// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IAnchor} from "./interfaces/IAnchor.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Addresses, Registration, RegistryConfig, Terms, TokenUnit, Version, VmKind} from "./Types.sol";

/// @title What environments there are and what each runs from which slot on
/// @notice Registration is open to anyone for a bond. An environment becomes live when the
/// sequencer first anchors a statement of it; until then it binds nobody.
contract Registry is IRegistry, Initializable, ReentrancyGuardTransient {
    uint256 public constant MAX_NAME_BYTES = 64;
    uint256 public constant MAX_TOKENS = 64;

    struct Environment {
        address owner;
        bool live;
        bool wasLive;
        uint96 bond;
        bytes32 genesisRoot;
        string name;
        Version[] versions;
    }

    address public timelock;
    IAnchor public anchor;
    /// @notice Number of environments ever registered, the router included: the next one's id.
    uint32 public count;
    RegistryConfig public config;
    mapping(uint32 => Environment) private _environments;
    mapping(uint32 => mapping(address => uint256)) public unitOf;
    mapping(uint32 => address) public offeredTo;

    modifier onlyOwner(uint32 environment) {
        if (_known(environment).owner != msg.sender) revert NotEnvironmentOwner(environment, msg.sender);
        _;
    }

    modifier onlyTimelock() {
        if (msg.sender != timelock) revert NotTimelock(msg.sender);
        _;
    }

    constructor() {
        _disableInitializers();
    }

    /// @param router What environment 0 is registered with; the timelock owns it.
    function initialize(Addresses calldata a, RegistryConfig calldata c, Registration calldata router)
        external
        initializer
    {
        timelock = a.timelock;
        anchor = IAnchor(a.anchor);
        config = c;
        if (router.version.vmKind != VmKind.Router || router.tokens.length != 0) revert BadVmKind();
        _register(router, a.timelock, 0);
    }

    /// @inheritdoc IRegistry
    function register(Registration calldata registration) external payable returns (uint32 environment) {
        uint96 bond = config.bond;
        if (msg.value != bond) revert WrongBond(bond, msg.value);
        if (registration.version.vmKind == VmKind.Router) revert BadVmKind();
        return _register(registration, msg.sender, bond);
    }

    function _register(Registration calldata r, address owner, uint96 bond) private returns (uint32 environment) {
        uint256 length = bytes(r.name).length;
        if (length == 0 || length > MAX_NAME_BYTES) revert BadName(length);
        if (r.tokens.length > MAX_TOKENS) revert TooManyTokens(r.tokens.length, MAX_TOKENS);
        _checkVersion(r.version);
        environment = count++;
        Environment storage e = _environments[environment];
        (e.owner, e.bond, e.genesisRoot, e.name) = (owner, bond, r.genesisRoot, r.name);
        e.versions.push(r.version);
        emit Registered(environment, owner, r.name, r.genesisRoot, bond);
        emit VersionAdded(environment, 0, r.version);
        for (uint256 i = 0; i < r.tokens.length; ++i) {
            TokenUnit calldata t = r.tokens[i];
            // A token without a unit, or named twice.
            if (t.unit == 0 || unitOf[environment][t.token] != 0) revert BadToken(t.token);
            unitOf[environment][t.token] = t.unit;
            emit TokenSet(environment, t.token, t.unit);
        }
    }

    function _checkVersion(Version calldata v) private view {
        if (v.specHash == 0 || v.programId == 0) revert ZeroHash();
        (uint32 min, uint32 max) = (config.minChallengeWindow, config.maxChallengeWindow);
        uint32 window = v.policy.challengeWindow;
        if (window < min || window > max) revert BadChallengeWindow(window, min, max);
    }

    /// @inheritdoc IRegistry
    function upgrade(uint32 environment, Version calldata v) external onlyOwner(environment) {
        _checkVersion(v);
        Version[] storage versions = _environments[environment].versions;
        Version storage newest = versions[versions.length - 1];
        uint64 lastSlot = anchor.lastSlot();
        if (newest.activationSlot > lastSlot) revert UpgradePending(environment, newest.activationSlot);
        uint64 earliest = lastSlot + config.upgradeDelaySlots;
        if (v.activationSlot < earliest || v.activationSlot <= newest.activationSlot) {
            revert ActivationTooSoon(earliest, v.activationSlot);
        }
        // A snapshot exit reads the state as the kind says: it must not change under its users.
        if (v.vmKind != newest.vmKind) revert VmKindChanged(environment);
        emit VersionAdded(environment, versions.length, v);
        versions.push(v);
    }

    /// @inheritdoc IRegistry
    function setToken(uint32 environment, address token, uint256 unit) external onlyOwner(environment) {
        if (environment == 0) revert UnknownEnvironment(0);
        unitOf[environment][token] = unit;
        emit TokenSet(environment, token, unit);
    }

    /// @inheritdoc IRegistry
    function offerOwnership(uint32 environment, address to) external onlyOwner(environment) {
        offeredTo[environment] = to;
        emit OwnershipOffered(environment, to);
    }

    /// @inheritdoc IRegistry
    function takeOwnership(uint32 environment) external {
        Environment storage e = _known(environment);
        if (offeredTo[environment] != msg.sender) revert NotEnvironmentOwner(environment, msg.sender);
        delete offeredTo[environment];
        e.owner = msg.sender;
        emit OwnershipTaken(environment, msg.sender);
    }

    /// @inheritdoc IRegistry
    function withdraw(uint32 environment) external nonReentrant onlyOwner(environment) {
        Environment storage e = _environments[environment];
        // The router has no bond, and the first commitment needs it.
        if (e.wasLive || environment == 0) revert EnvironmentWasLive(environment);
        uint96 bond = e.bond;
        delete _environments[environment];
        emit Withdrawn(environment, msg.sender, bond);
        _pay(msg.sender, bond);
    }

    /// @inheritdoc IRegistry
    function slashBond(uint32 environment, address to) external nonReentrant onlyTimelock {
        Environment storage e = _known(environment);
        uint96 bond = e.bond;
        if (bond == 0) revert NoBond(environment);
        e.bond = 0;
        emit BondSlashed(environment, to, bond);
        _pay(to, bond);
    }

    function _pay(address to, uint256 amount) private {
        if (amount == 0) return;
        (bool ok,) = to.call{value: amount}("");
        if (!ok) revert PaymentFailed(to, amount);
    }

    /// @inheritdoc IRegistry
    function setLive(uint32 environment, bool live) external {
        if (msg.sender != address(anchor)) revert NotAnchor(msg.sender);
        Environment storage e = _known(environment);
        e.live = live;
        e.wasLive = true;
        emit LiveSet(environment, live);
    }

    /// @inheritdoc IRegistry
    function termsAt(uint32 environment, uint64 firstSlot, uint64 lastSlot) external view returns (Terms memory t) {
        Environment storage e = _known(environment);
        uint256 index = _indexAt(environment, e.versions, firstSlot);
        if (index + 1 < e.versions.length) {
            uint64 next = e.versions[index + 1].activationSlot;
            if (next <= lastSlot) revert VersionBoundary(environment, next);
        }
        Version storage v = e.versions[index];
        t.specHash = v.specHash;
        t.programId = v.programId;
        t.challengeWindow = v.policy.challengeWindow;
        t.live = e.live;
        if (!t.live) t.genesisRoot = e.genesisRoot;
    }

    /// @inheritdoc IRegistry
    function versionAt(uint32 environment, uint64 slot) external view returns (Version memory) {
        Environment storage e = _known(environment);
        return e.versions[_indexAt(environment, e.versions, slot)];
    }

    /// @dev The last version active in a slot.
    function _indexAt(uint32 environment, Version[] storage versions, uint64 slot) private view returns (uint256) {
        uint256 low = 0;
        uint256 high = versions.length;
        // Most of the time the newest is the one.
        if (versions[high - 1].activationSlot <= slot) return high - 1;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (versions[middle].activationSlot <= slot) low = middle + 1;
            else high = middle;
        }
        if (low == 0) revert NotActive(environment, slot);
        return low - 1;
    }

    /// @inheritdoc IRegistry
    function depositUnit(uint32 environment, address token) external view returns (uint256 unit) {
        requireLive(environment);
        unit = unitOf[environment][token];
        if (unit == 0) revert TokenNotListed(environment, token);
    }

    /// @inheritdoc IRegistry
    function requireKnown(uint32 environment) external view {
        if (environment == 0) revert UnknownEnvironment(0);
        _known(environment);
    }

    /// @inheritdoc IRegistry
    function requireLive(uint32 environment) public view {
        if (environment == 0) revert UnknownEnvironment(0);
        if (!_known(environment).live) revert EnvironmentNotLive(environment);
    }

    /// @notice What is known of an environment.
    function environmentOf(uint32 environment)
        external
        view
        returns (address owner, bool live, uint96 bond, bytes32 genesisRoot, string memory name, uint256 versions)
    {
        Environment storage e = _known(environment);
        return (e.owner, e.live, e.bond, e.genesisRoot, e.name, e.versions.length);
    }

    function _known(uint32 environment) private view returns (Environment storage e) {
        e = _environments[environment];
        if (e.owner == address(0)) revert UnknownEnvironment(environment);
    }
}
