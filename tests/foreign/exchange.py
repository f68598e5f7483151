"""The Hyperliquid Python SDK (0.24) against a running node: only the URL changes.

ATOLL_URL names the gateway.
"""

import os
import sys
import threading
import time
import traceback

import eth_account
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info
from hyperliquid.utils.types import Cloid

URL = os.environ["ATOLL_URL"]
# Accounts 0 and 1 of "test test … junk", known to every development tool.
ALICE = eth_account.Account.from_key("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
BOB = eth_account.Account.from_key("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")
POOR = eth_account.Account.from_key("0x" + "11" * 32)


def check(name, condition, found=None):
    """Prints and asserts."""
    if not condition:
        raise AssertionError(f"FAILED {name}: {found}")
    print("ok", name)


def statuses(reply):
    """The statuses of an order action that was accepted as a whole."""
    assert reply["status"] == "ok", reply
    return reply["response"]["data"]["statuses"]


def eventually(name, probe, seconds=5.0):
    """Waits until `probe` gives something true."""
    end = time.time() + seconds
    while True:
        found = probe()
        if found:
            print("ok", name)
            return found
        if time.time() > end:
            raise AssertionError(f"FAILED {name}: nothing within {seconds} s")
        time.sleep(0.05)


class Feed:
    """Messages of the socket, by channel."""

    def __init__(self):
        self.lock = threading.Lock()
        self.messages = {}

    def __call__(self, message):
        with self.lock:
            self.messages.setdefault(message["channel"], []).append(message["data"])

    def of(self, channel):
        """What came so far."""
        with self.lock:
            return list(self.messages.get(channel, []))


def main():
    """The suite."""
    info = Info(URL)
    alice = Exchange(ALICE, URL)
    bob = Exchange(BOB, URL)
    check("meta names the markets", [a["name"] for a in info.meta()["universe"]] == ["BTC", "ETH", "SOL"], info.meta())
    state = info.user_state(ALICE.address)
    check("account value", float(state["marginSummary"]["accountValue"]) == 1_000_000, state)

    feed = Feed()
    for subscription in (
        {"type": "l2Book", "coin": "BTC"},
        {"type": "trades", "coin": "BTC"},
        {"type": "bbo", "coin": "BTC"},
        {"type": "userFills", "user": ALICE.address},
        {"type": "orderUpdates", "user": ALICE.address},
    ):
        info.subscribe(subscription, feed)

    mid = float(eventually("a mark price", lambda: info.all_mids().get("BTC")))
    px = round(mid)

    # Place, read, modify, cancel.
    [status] = statuses(alice.order("BTC", True, 0.01, px - 100, {"limit": {"tif": "Gtc"}}))
    oid = status["resting"]["oid"]
    check("open order", [o["oid"] for o in info.open_orders(ALICE.address)] == [oid])
    book = info.l2_snapshot("BTC")
    check("the book shows it", float(book["levels"][0][0]["px"]) == px - 100, book)
    eventually("ws l2Book", lambda: any(d["levels"][0] or d["levels"][1] for d in feed.of("l2Book")))
    eventually("ws bbo", lambda: any(d["bbo"][0] for d in feed.of("bbo")))
    queried = info.query_order_by_oid(ALICE.address, oid)
    check("order status", queried["order"]["status"] == "open", queried)
    modified = alice.modify_order(oid, "BTC", True, 0.02, px - 50, {"limit": {"tif": "Gtc"}})
    check("modify", modified["status"] == "ok", modified)
    [order] = info.open_orders(ALICE.address)
    check("modified", (float(order["limitPx"]), float(order["sz"])) == (px - 50, 0.02), order)
    check("cancel", statuses(alice.cancel("BTC", order["oid"])) == ["success"])
    check("nothing open", info.open_orders(ALICE.address) == [])

    cloid = Cloid.from_int(42)
    [status] = statuses(alice.order("ETH", False, 1, round(float(info.all_mids().get("ETH", 3000)) * 1.1),
                                    {"limit": {"tif": "Alo"}}, cloid=cloid))
    check("post-only with a client id", "resting" in status, status)
    check("cancel by client id", statuses(alice.cancel_by_cloid("ETH", cloid)) == ["success"])

    # Trade.
    [status] = statuses(alice.order("BTC", True, 0.5, px, {"limit": {"tif": "Gtc"}}))
    [status] = statuses(bob.order("BTC", False, 0.2, px, {"limit": {"tif": "Ioc"}}))
    check("fill", float(status["filled"]["totalSz"]) == 0.2, status)
    state = info.user_state(ALICE.address)
    [position] = state["assetPositions"]
    check("position", float(position["position"]["szi"]) == 0.2, state)
    check("entry price", float(position["position"]["entryPx"]) == px, state)
    fills = eventually("user fills", lambda: info.user_fills(ALICE.address))
    check("the fill", (float(fills[0]["sz"]), float(fills[0]["px"])) == (0.2, px), fills)
    [status] = statuses(bob.order("BTC", False, 0.3, px, {"limit": {"tif": "Ioc"}}))

    # The socket.
    eventually("ws trades", lambda: any(float(t["sz"]) == 0.2 for d in feed.of("trades") for t in d))
    eventually("ws userFills", lambda: any(float(f["sz"]) == 0.2 for d in feed.of("userFills") for f in d["fills"]))
    eventually("ws orderUpdates", lambda: any(u["status"] == "filled" for d in feed.of("orderUpdates") for u in d))

    # Refusals, each with a sentence.
    def refused(name, reply, text):
        if reply["status"] == "ok":
            message = reply["response"]["data"]["statuses"][0]["error"]
        else:
            message = reply["response"]
        check(name, text.lower() in message.lower(), reply)

    refused("dust", alice.order("BTC", True, 0.00001, px - 1000, {"limit": {"tif": "Gtc"}}), "minimum")
    refused("off tick", alice.order("BTC", True, 0.01, px - 0.05, {"limit": {"tif": "Gtc"}}), "tick")
    refused("margin", alice.order("BTC", True, 900, px - 10, {"limit": {"tif": "Gtc"}}), "collateral")
    refused("would cross", alice.order("BTC", True, 0.01, px + 100, {"limit": {"tif": "Alo"}})
            if statuses(bob.order("BTC", False, 0.1, px + 50, {"limit": {"tif": "Gtc"}})) else None, "post")
    refused("unknown order", alice.cancel("BTC", 999_999_999), "order")
    refused("unknown account", Exchange(POOR, URL).order("BTC", True, 0.01, px, {"limit": {"tif": "Gtc"}}), "account")
    info.disconnect_websocket()
    print("ok all")


if __name__ == "__main__":
    code = 1
    try:
        main()
        code = 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    # The SDK's socket has threads of its own that would keep a failed run alive.
    os._exit(code)
