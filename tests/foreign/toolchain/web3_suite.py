"""web3.py 7 against a running node: transactions of every kind, filters, subscriptions, traces, refusals."""
import asyncio
import json
import os
import time

from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import ContractCustomError, TransactionNotFound, Web3RPCError
from web3.logs import DISCARD
from web3.utils.subscriptions import LogsSubscription, NewHeadsSubscription

url = os.environ["ATOLL_URL"] + "/evm/evm"
artifact = json.load(open("out/MarketToken.sol/MarketToken.json"))
zero = "0x" + "00" * 20
supply = 10**24

w3 = Web3(Web3.HTTPProvider(url))
# The third of "test test … junk".
owner = w3.eth.account.from_key("0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a")
friend = w3.eth.account.create()


def done(sent):
    receipt = w3.eth.wait_for_transaction_receipt(sent, poll_latency=0.05)
    assert receipt.status == 1, receipt
    return receipt


def send(transaction, account=owner):
    """Fills in what is missing, signs with `account`, sends."""
    transaction = {"from": account.address, "chainId": 3002, **transaction}
    transaction.setdefault("nonce", w3.eth.get_transaction_count(account.address))
    transaction.setdefault("gas", 100_000)
    if "gasPrice" not in transaction:
        transaction.setdefault("maxFeePerGas", 2 * w3.eth.gas_price)
        transaction.setdefault("maxPriorityFeePerGas", 0)
    return w3.eth.send_raw_transaction(account.sign_transaction(transaction).raw_transaction)


def refused(error, words, call):
    try:
        answer = call()
    except error as refusal:
        assert words in str(refusal), refusal
        return refusal
    raise AssertionError(f"'{words}' was expected, and it was accepted: {answer}")


def deploy():
    factory = w3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"]["object"])
    fees = {"from": owner.address, "nonce": w3.eth.get_transaction_count(owner.address)}
    receipt = done(send(factory.constructor(owner.address, supply).build_transaction(fees)))
    token = w3.eth.contract(receipt.contractAddress, abi=artifact["abi"])
    assert token.functions.symbol().call() == "MKT"
    assert token.functions.balanceOf(owner.address).call() == supply
    minted = token.events.Transfer().process_receipt(receipt, errors=DISCARD)
    assert [dict(event.args) for event in minted] == [{"from": zero, "to": owner.address, "value": supply}]
    return token


def kinds(token):
    """EIP-1559, EIP-2930 and legacy with the chain id: what came back is what was sent."""
    call = token.functions.transfer(friend.address, 5)
    price = 2 * w3.eth.gas_price
    slot = w3.keccak(bytes(12) + bytes.fromhex(owner.address[2:]) + bytes(32))
    listed = [{"address": token.address, "storageKeys": [slot.to_0x_hex()]}]
    base = {"to": token.address, "data": call._encode_transaction_data()}
    for kind, extra in (
        (2, {"maxFeePerGas": price, "maxPriorityFeePerGas": 1}),
        (1, {"gasPrice": price, "accessList": listed}),
        (0, {"gasPrice": price}),
    ):
        money = w3.eth.get_balance(owner.address)
        sent = send({**base, **extra})
        receipt = done(sent)
        found = w3.eth.get_transaction(sent)
        assert (receipt.type, found.type) == (kind, kind), (receipt, found)
        assert found["from"] == owner.address and found.to == token.address
        paid = money - w3.eth.get_balance(owner.address)
        assert paid == receipt.gasUsed * receipt.effectiveGasPrice, (paid, receipt)
        if kind == 1:
            assert [entry.storageKeys for entry in found.accessList] == [[slot.to_0x_hex()]], found
            assert receipt.effectiveGasPrice == price
        if kind == 0:
            assert found.v in (2 * 3002 + 35, 2 * 3002 + 36)
    assert token.functions.balanceOf(friend.address).call() == 15


def events(token):
    """A filter at the node, and the same by range."""
    start = w3.eth.block_number + 1
    watched = token.events.Transfer.create_filter(from_block="latest", argument_filters={"to": friend.address})
    assert watched.get_new_entries() == []
    amounts = [7, 8, 9]
    sent = []
    for amount in amounts:
        sent.append(send(token.functions.transfer(friend.address, amount).build_transaction({"from": owner.address})))
        done(sent[-1])
    found = watched.get_new_entries()
    assert [(e.args.value, e.transactionHash) for e in found] == list(zip(amounts, sent)), found
    assert watched.get_new_entries() == []
    by_range = token.events.Transfer().get_logs(from_block=start, argument_filters={"to": friend.address})
    assert by_range == found
    none = token.events.Transfer().get_logs(from_block=start, argument_filters={"from": friend.address})
    assert len(none) == 0, none
    assert w3.eth.uninstall_filter(watched.filter_id) is True
    refused(Web3RPCError, "filter not found", watched.get_new_entries)
    return sent[-1]


def traces(token, sent):
    trace = w3.provider.make_request("debug_traceTransaction", [sent.to_0x_hex(), {"tracer": "callTracer"}])["result"]
    assert (trace["type"], trace["to"]) == ("CALL", token.address.lower()), trace
    assert trace["input"] == token.functions.transfer(friend.address, 9)._encode_transaction_data()
    assert int(trace["output"], 16) == 1 and int(trace["gasUsed"], 16) == done(sent).gasUsed


def simulations(token):
    """State overrides in a call; several blocks of calls."""
    stranger = w3.eth.account.create().address
    slot = w3.keccak(bytes(12) + bytes.fromhex(stranger[2:]) + bytes(32))
    move = token.functions.transfer(friend.address, 30)
    refused(ContractCustomError, "0xe450d38c", lambda: move.call({"from": stranger}))
    rich = {token.address: {"stateDiff": {slot.to_0x_hex(): "0x" + (41).to_bytes(32, "big").hex()}}}
    assert move.call({"from": stranger}, state_override=rich) is True
    assert token.functions.balanceOf(stranger).call(state_override=rich) == 41
    assert token.functions.balanceOf(stranger).call() == 0

    held = token.functions.balanceOf(friend.address).call()
    pay = {"from": owner.address, "to": token.address, "data": move._encode_transaction_data()}
    ask = {"to": token.address, "data": token.functions.balanceOf(friend.address)._encode_transaction_data()}
    blocks = w3.eth.simulate_v1({"blockStateCalls": [{"calls": [pay, pay, ask]}, {"calls": [pay, ask]}]}, "latest")
    assert [int(block.calls[-1].returnData.hex(), 16) for block in blocks] == [held + 60, held + 90], blocks
    assert blocks[1].number == blocks[0].number + 1
    assert len(blocks[0].calls[0].logs) == 1
    assert token.functions.balanceOf(friend.address).call() == held


def refusals(token):
    nonce = w3.eth.get_transaction_count(owner.address)
    pay = {"to": friend.address, "value": 1, "gas": 21_000}
    low = refused(Web3RPCError, "nonce too low", lambda: send({**pay, "nonce": 0}))
    assert low.rpc_response["error"]["code"] == -32000
    refused(Web3RPCError, "nonce too high", lambda: send({**pay, "nonce": nonce + 1}))
    refused(Web3RPCError, "insufficient funds", lambda: send({**pay, "value": 10**23}))
    refused(Web3RPCError, "insufficient funds", lambda: send(pay, friend))
    refused(Web3RPCError, "intrinsic gas too low", lambda: send({**pay, "gas": 20_999}))
    refused(Web3RPCError, "chain id", lambda: send({**pay, "chainId": 1}))
    assert w3.eth.get_transaction_count(owner.address) == nonce
    mint = w3.eth.contract(token.address, abi=artifact["abi"]).functions.mint(friend.address, 1)
    refused(ContractCustomError, "0x118cdaa7", lambda: mint.call({"from": friend.address}))
    refused(ContractCustomError, "0x118cdaa7", lambda: mint.estimate_gas({"from": friend.address}))
    refused(TransactionNotFound, "not found", lambda: w3.eth.get_transaction(b"\1" * 32))


async def subscriptions(token):
    """Heads and logs over WebSocket, while transactions are sent over HTTP."""
    heads, logs = [], []

    async def head(context):
        heads.append(context.result)

    async def log(context):
        logs.append(context.result)

    provider = WebSocketProvider(url.replace("http", "ws", 1))
    async with AsyncWeb3(provider) as socket:
        assert await socket.eth.chain_id == 3002
        await socket.subscription_manager.subscribe([
            NewHeadsSubscription(handler=head),
            LogsSubscription(address=token.address, handler=log),
        ])
        listening = asyncio.create_task(socket.subscription_manager.handle_subscriptions())
        sent = []
        for amount in (1, 2):
            built = token.functions.transfer(friend.address, amount).build_transaction({"from": owner.address})
            sent.append(await asyncio.to_thread(send, built))
            await asyncio.to_thread(done, sent[-1])
        for _ in range(100):
            if len(logs) == 2 and len(heads) >= 5:
                break
            await asyncio.sleep(0.05)
        listening.cancel()
        await socket.subscription_manager.unsubscribe_all()
    assert [log["transactionHash"] for log in logs] == sent, logs
    decoded = [token.events.Transfer().process_log(log).args.value for log in logs]
    assert decoded == [1, 2], decoded
    numbers = [head["number"] for head in heads]
    assert len(numbers) >= 5 and numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers
    for above, below in zip(heads[1:], heads):
        assert above["parentHash"] == below["hash"]
    assert w3.eth.get_block(numbers[0]).hash == heads[0]["hash"]


def main():
    assert w3.is_connected() and w3.eth.chain_id == 3002
    began = time.monotonic()
    token = deploy()
    kinds(token)
    traces(token, events(token))
    simulations(token)
    refusals(token)
    asyncio.run(subscriptions(token))
    print(
        "ok web3.py: deploy, transactions of type 0, 1 and 2, filters, logs, heads and logs over WebSocket,"
        f" trace, overrides, simulation, refusals ({time.monotonic() - began:.1f} s)"
    )


main()
