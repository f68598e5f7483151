// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

/// @notice An ERC-721: numbered seats, given out by the owner.
contract Seat is ERC721, Ownable {
    uint256 public seats;

    constructor(address owner) ERC721("Seat", "SEAT") Ownable(owner) {}

    function mint(address to) external onlyOwner returns (uint256 id) {
        id = ++seats;
        _safeMint(to, id);
    }

    function _baseURI() internal pure override returns (string memory) {
        return "https://seats.example/";
    }
}
