//! Logs of a chain whose node looks through a bounded number of blocks at once.

use atoll_ethereum::{Client, Limits, LogFilter, logs};
use atoll_types::{Address, B256};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Blocks that have a log.
const AT: [u64; 4] = [0, 7_321, 7_322, 99_999];

fn number(request: &str, key: &str) -> Option<u64> {
    let text = request.split(&format!("\"{key}\":\"0x")).nth(1)?.split('"').next()?;
    u64::from_str_radix(text, 16).ok()
}

fn answer(stream: &mut TcpStream, most: u64) -> Option<()> {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    while !request.ends_with(b"}") {
        let n = stream.read(&mut buffer).ok()?;
        request.extend_from_slice(buffer.get(..n).filter(|read| !read.is_empty())?);
    }
    let request = String::from_utf8(request).ok()?;
    let id = request.split("\"id\":").nth(1)?;
    let id: String = id.chars().take_while(char::is_ascii_digit).collect();
    let (from, to) = (number(&request, "fromBlock")?, number(&request, "toBlock")?);
    let (address, hash) = (Address::repeat_byte(1), B256::repeat_byte(2));
    let logs = AT.iter().filter(|block| (from..=to).contains(block)).map(|block| {
        format!(
            r#"{{"address":"{address}","topics":["{hash}"],"data":"0x","blockNumber":"{block:#x}",
                "blockHash":"{hash}","transactionHash":"{hash}","logIndex":"0x0"}}"#
        )
    });
    let told = match to - from < most {
        true => format!("\"result\":[{}]", logs.collect::<Vec<_>>().join(",")),
        false => r#""error":{"code":-32005,"message":"block range too large"}"#.to_string(),
    };
    let body = format!(r#"{{"jsonrpc":"2.0","id":{id},{told}}}"#);
    let head = format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(format!("HTTP/1.1 200 X\r\n{head}{body}").as_bytes()).ok()
}

/// A node that looks through at most so many blocks, and how often it was asked.
fn node(most: u64) -> (Client, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            count.fetch_add(1, Relaxed);
            answer(&mut stream, most);
        }
    });
    (Client::new(&url, Limits::default()).unwrap(), asked)
}

fn filter(from: u64, to: u64) -> LogFilter {
    LogFilter { address: Address::repeat_byte(1), topics: Vec::new(), from, to }
}

#[test]
fn what_is_refused_is_asked_for_in_pieces() {
    for (most, requests) in [(u64::MAX, 1), (50_000, 3), (10_000, 21), (1_000, 107)] {
        let (client, asked) = node(most);
        let found = logs::all(&client, &filter(0, 99_999)).unwrap();
        assert_eq!(found.iter().map(|log| log.block).collect::<Vec<_>>(), AT, "{most}");
        assert!(asked.load(Relaxed) <= requests, "{most}: {asked:?}");
    }
    let (client, _) = node(10_000);
    let some = logs::all(&client, &filter(7_322, 99_998)).unwrap();
    assert_eq!(some.iter().map(|log| log.block).collect::<Vec<_>>(), [7_322]);
    // Less than every node answers is not worth asking for.
    let (client, asked) = node(999);
    assert!(logs::all(&client, &filter(0, 99_999)).is_err());
    assert!(asked.load(Relaxed) < 10);
}

#[test]
fn the_last_one_is_looked_for_from_the_end() {
    for most in [u64::MAX, 3_000] {
        let (client, asked) = node(most);
        let last = |from, to| logs::last(&client, &filter(from, to)).unwrap().map(|log| log.block);
        assert_eq!(last(0, 99_999), Some(99_999));
        assert!(asked.load(Relaxed) < 10, "{asked:?}");
        assert_eq!(last(0, 99_998), Some(7_322));
        assert_eq!(last(0, 5_000), Some(0));
        assert_eq!(last(0, 0), Some(0));
        assert_eq!(last(7_323, 99_998), None);
        assert_eq!(last(8, 7), None);
    }
}
