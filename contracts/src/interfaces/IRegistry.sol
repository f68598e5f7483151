// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Registration, Terms, Version} from "../Types.sol";

/// @title What environments there are and what each runs from which slot on
interface IRegistry {
    /// @notice A new environment. `tokens` are announced by `TokenSet`.
    event Registered(
        uint32 indexed environment, address indexed owner, string name, bytes32 genesisRoot, uint256 bond
    );
    /// @notice What an environment runs from `version.activationSlot` on.
    event VersionAdded(uint32 indexed environment, uint256 indexed index, Version version);
    /// @notice Deposits of the token must be multiples of `unit`; zero: no longer accepted.
    event TokenSet(uint32 indexed environment, address indexed token, uint256 unit);
    /// @notice The environment has a statement in every commitment from now on, or (after a
    /// rejection) no longer.
    event LiveSet(uint32 indexed environment, bool live);
    /// @notice Ownership was offered to `to`.
    event OwnershipOffered(uint32 indexed environment, address indexed to);
    /// @notice Ownership was taken.
    event OwnershipTaken(uint32 indexed environment, address indexed owner);
    /// @notice The registration of an environment that was never live was withdrawn.
    event Withdrawn(uint32 indexed environment, address indexed owner, uint256 bond);
    /// @notice The timelock took an environment's bond.
    event BondSlashed(uint32 indexed environment, address indexed to, uint256 bond);

    error NotTimelock(address caller);
    error NotAnchor(address caller);
    error NotEnvironmentOwner(uint32 environment, address caller);
    error UnknownEnvironment(uint32 environment);
    error EnvironmentNotLive(uint32 environment);
    /// @notice Only an environment that was never live can be withdrawn.
    error EnvironmentWasLive(uint32 environment);
    error WrongBond(uint256 required, uint256 given);
    error NoBond(uint32 environment);
    error BadName(uint256 length);
    error BadToken(address token);
    error TooManyTokens(uint256 given, uint256 max);
    error TokenNotListed(uint32 environment, address token);
    error BadChallengeWindow(uint32 given, uint32 min, uint32 max);
    error ZeroHash();
    /// @notice There is one router, and its kind belongs to it alone.
    error BadVmKind();
    error VmKindChanged(uint32 environment);
    error ActivationTooSoon(uint64 earliest, uint64 given);
    /// @notice Only one version may lie ahead of the last anchored slot.
    error UpgradePending(uint32 environment, uint64 activationSlot);
    error NotActive(uint32 environment, uint64 slot);
    /// @notice A commitment must end before the slot at which one of its environments changes.
    error VersionBoundary(uint32 environment, uint64 activationSlot);
    error PaymentFailed(address to, uint256 amount);

    /// @notice Registers an environment; the caller owns it. Costs the bond.
    function register(Registration calldata registration) external payable returns (uint32 environment);

    /// @notice Announces what an environment will run. Owner only.
    function upgrade(uint32 environment, Version calldata version) external;

    /// @notice Sets the deposit unit of a token; zero stops deposits of it. Owner only.
    function setToken(uint32 environment, address token, uint256 unit) external;

    /// @notice Offers ownership. Owner only.
    function offerOwnership(uint32 environment, address to) external;

    /// @notice Takes ownership that was offered to the caller.
    function takeOwnership(uint32 environment) external;

    /// @notice Withdraws an environment that was never live, and its bond. Owner only, final.
    function withdraw(uint32 environment) external;

    /// @notice Takes an environment's bond. Timelock only.
    function slashBond(uint32 environment, address to) external;

    /// @notice Whether the environment has a statement in every commitment. Anchor only.
    function setLive(uint32 environment, bool live) external;

    /// @notice What a statement of these slots must agree with. Reverts for an unknown environment
    /// and where the range crosses an activation.
    function termsAt(uint32 environment, uint64 firstSlot, uint64 lastSlot) external view returns (Terms memory);

    /// @notice What the environment runs in a slot.
    function versionAt(uint32 environment, uint64 slot) external view returns (Version memory);

    /// @notice Unit of deposits. Reverts for an unknown or not yet live environment and for a
    /// token that is not listed.
    function depositUnit(uint32 environment, address token) external view returns (uint256 unit);

    /// @notice Reverts unless the environment is registered and not the router.
    function requireKnown(uint32 environment) external view;

    /// @notice Reverts unless the environment is live and not the router.
    function requireLive(uint32 environment) external view;
}
