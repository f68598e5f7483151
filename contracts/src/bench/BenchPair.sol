// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BenchToken} from "./BenchToken.sol";

/// @title A pool of two tokens that trades along x * y = k, for a fee of 0.3 %
/// @dev What a swap of such a pool usually does: a lock, reserves packed into one word, two tokens moved and
/// their balances read again, prices summed over time, an event. `atoll bench evm` relies on the order of
/// the variables.
contract BenchPair {
    BenchToken public token0;
    BenchToken public token1;
    uint112 private _reserve0;
    uint112 private _reserve1;
    uint32 private _updated;
    uint256 public price0Sum;
    uint256 public price1Sum;
    /// Not zero, so that locking and unlocking never writes to an empty slot.
    uint256 private _lock;

    event Swap(address indexed sender, bool zeroForOne, uint256 amountIn, uint256 amountOut, address indexed to);

    error Locked();
    error TooLittle(uint256 amountOut, uint256 wanted);
    error InvariantBroken();

    function reserves() external view returns (uint112, uint112, uint32) {
        return (_reserve0, _reserve1, _updated);
    }

    /// Takes `amountIn` of one token from the caller, who approved it, and gives the other to `to`.
    function swap(bool zeroForOne, uint256 amountIn, uint256 amountOutMin, address to)
        external
        returns (uint256 amountOut)
    {
        if (_lock == 2) revert Locked();
        _lock = 2;
        (uint256 reserve0, uint256 reserve1) = (_reserve0, _reserve1);
        (uint256 reserveIn, uint256 reserveOut) = zeroForOne ? (reserve0, reserve1) : (reserve1, reserve0);
        uint256 withFee = amountIn * 997;
        amountOut = withFee * reserveOut / (reserveIn * 1000 + withFee);
        if (amountOut < amountOutMin || amountOut == 0) revert TooLittle(amountOut, amountOutMin);

        (BenchToken tokenIn, BenchToken tokenOut) = zeroForOne ? (token0, token1) : (token1, token0);
        tokenIn.transferFrom(msg.sender, address(this), amountIn);
        tokenOut.transfer(to, amountOut);
        uint256 balance0 = token0.balanceOf(address(this));
        uint256 balance1 = token1.balanceOf(address(this));
        if (balance0 * balance1 < reserve0 * reserve1) revert InvariantBroken();

        _update(balance0, balance1, reserve0, reserve1);
        emit Swap(msg.sender, zeroForOne, amountIn, amountOut, to);
        _lock = 1;
    }

    function _update(uint256 balance0, uint256 balance1, uint256 reserve0, uint256 reserve1) private {
        if (balance0 > type(uint112).max || balance1 > type(uint112).max) revert InvariantBroken();
        uint32 time = uint32(block.timestamp);
        unchecked {
            // Differences of sums are what counts, so they may wrap.
            uint32 elapsed = time - _updated;
            if (elapsed > 0 && reserve0 != 0 && reserve1 != 0) {
                price0Sum += ((reserve1 << 112) / reserve0) * elapsed;
                price1Sum += ((reserve0 << 112) / reserve1) * elapsed;
            }
        }
        (_reserve0, _reserve1, _updated) = (uint112(balance0), uint112(balance1), time);
    }
}
