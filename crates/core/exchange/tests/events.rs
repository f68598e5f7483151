//! `docs/exchange/events.md` has every event with its fields, and every cancel reason.

use atoll_exchange::Event;
use atoll_types::{Decode, Encode, RejectCode};

/// What bytes of zeros read as after this number, with an ending that fits.
fn event(number: u8) -> Option<Event> {
    // Codes begin at 100: one byte.
    let endings = [vec![], vec![RejectCode::ALL[0].number() as u8]];
    for zeros in 0..300 {
        for ending in &endings {
            let mut bytes = vec![number];
            bytes.resize(1 + zeros, 0);
            bytes.extend(ending);
            if let Ok(event) = Event::from_bytes(&bytes) {
                return Some(event);
            }
        }
    }
    None
}

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/exchange/events.md");
    std::fs::read_to_string(path).unwrap()
}

fn name(debug: &str) -> &str {
    debug.split(|c: char| !c.is_alphanumeric()).next().unwrap()
}

#[test]
fn every_event_is_documented() {
    let (page, mut found) = (page(), 0);
    for number in 0..=255 {
        let Some(event) = event(number) else { continue };
        found += 1;
        let debug = format!("{event:?}");
        let start = format!("| {number} | `{}` |", name(&debug));
        let row = page.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("events.md has no row {start}"));
        // The fields of the event itself, not of what they consist of.
        let Some(fields) = debug.strip_prefix(&format!("{} {{", name(&debug))) else { continue };
        let mut depth = 0;
        for part in fields.split_inclusive(['{', '}', '(', ')', '[', ']', ',']) {
            if let Some((field, _)) = part.split_once(':').filter(|_| depth == 0) {
                assert!(row.contains(&format!("`{}`", field.trim())), "{field} is not in {row}");
            }
            depth += part.matches(['{', '(', '[']).count() as i32;
            depth -= part.matches(['}', ')', ']']).count() as i32;
        }
    }
    let rows = page.split("## Cancel reasons").next().unwrap();
    let rows = rows.lines().filter(|line| line.starts_with("| ") && line.contains("| `")).count();
    assert_eq!(found, rows, "events.md has rows for what is no event");
    assert_eq!(found, 38);
}

#[test]
fn every_cancel_reason_is_documented() {
    let (page, mut found) = (page(), 0);
    let Some(Event::Cancelled { order, reason }) = event(3) else { panic!() };
    let mut bytes = Event::Cancelled { order, reason }.to_bytes();
    for number in 0..=255u8 {
        *bytes.last_mut().unwrap() = number;
        let Ok(Event::Cancelled { reason, .. }) = Event::from_bytes(&bytes) else { continue };
        found += 1;
        let row = format!("| {number} | `{reason:?}` |");
        assert!(page.contains(&row), "events.md has no row {row}");
    }
    assert_eq!(found, 14);
}
