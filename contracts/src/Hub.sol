// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {TransparentUpgradeableProxy} from
    "@openzeppelin/contracts/proxy/transparent/TransparentUpgradeableProxy.sol";
import {Addresses, AnchorConfig, BridgeConfig, Registration, RegistryConfig} from "./Types.sol";

/// @notice How each contract is initialised.
interface IRegistryInitialize {
    function initialize(Addresses calldata a, RegistryConfig calldata c, Registration calldata router) external;
}

interface IAnchorInitialize {
    function initialize(Addresses calldata a, AnchorConfig calldata c) external;
}

interface IBridgeInitialize {
    function initialize(Addresses calldata a, BridgeConfig calldata c) external;
}

/// @dev The queue and the escape hatch.
interface IInitialize {
    function initialize(Addresses calldata a) external;
}

/// @notice Implementations behind the proxies.
struct Implementations {
    address registry;
    address queue;
    address anchor;
    address bridge;
    address hatch;
}

/// @notice All that a hub is set up with.
/// @param router What environment 0 is registered with.
struct HubConfig {
    RegistryConfig registry;
    AnchorConfig anchor;
    BridgeConfig bridge;
    Registration router;
}

/// @title Deploys a hub in one transaction and remembers where it is
/// @notice The contracts know one another, so each needs the others' addresses before they exist.
/// This constructor computes them, and nobody can initialise a proxy in between. Each proxy has a
/// `ProxyAdmin` of its own, owned by the timelock. Deployed by CREATE2, the address of the whole
/// hub follows from its configuration.
contract Hub {
    error AddressMismatch(address expected, address deployed);

    /// @notice The proxies, in the order registry, queue, anchor, bridge, hatch.
    event Deployed(Addresses addresses);

    Addresses private _addresses;

    constructor(Implementations memory i, address timelock, address guardian, HubConfig memory c) {
        Addresses memory a = Addresses(
            timelock, guardian, _created(1), _created(2), _created(3), _created(4), _created(5)
        );
        _addresses = a;
        _deploy(a.registry, i.registry, timelock, abi.encodeCall(IRegistryInitialize.initialize, (a, c.registry, c.router)));
        _deploy(a.queue, i.queue, timelock, abi.encodeCall(IInitialize.initialize, (a)));
        _deploy(a.anchor, i.anchor, timelock, abi.encodeCall(IAnchorInitialize.initialize, (a, c.anchor)));
        _deploy(a.bridge, i.bridge, timelock, abi.encodeCall(IBridgeInitialize.initialize, (a, c.bridge)));
        _deploy(a.hatch, i.hatch, timelock, abi.encodeCall(IInitialize.initialize, (a)));
        emit Deployed(a);
    }

    /// @notice Where the contracts of this hub are.
    function addresses() external view returns (Addresses memory) {
        return _addresses;
    }

    function _deploy(address expected, address implementation, address timelock, bytes memory data) private {
        address deployed = address(new TransparentUpgradeableProxy(implementation, timelock, data));
        if (deployed != expected) revert AddressMismatch(expected, deployed);
    }

    /// @dev Address of this contract's n-th creation, n < 128.
    function _created(uint8 nonce) private view returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(bytes2(0xd694), address(this), nonce)))));
    }
}
