//! JSON to msgpack, in the order of the keys: the bytes that Hyperliquid's SDKs sign.
//!
//! Integers take their shortest form, strings pass untouched, floats are refused: an SDK that
//! signed one has rounded something.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Deepest nesting.
const DEPTH_MAX: u32 = 16;

/// The msgpack of a JSON text.
pub fn to_msgpack(json: &str) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(json.len());
    let mut deserializer = serde_json::Deserializer::from_str(json);
    Node { out: &mut out, depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(out)
}

struct Node<'a> {
    out: &'a mut Vec<u8>,
    depth: u32,
}

impl Node<'_> {
    fn unsigned(&mut self, value: u64) {
        match value {
            0..=0x7f => self.out.push(value as u8),
            0x80..=0xff => self.out.extend_from_slice(&[0xcc, value as u8]),
            0x100..=0xffff => {
                self.out.push(0xcd);
                self.out.extend_from_slice(&(value as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.out.push(0xce);
                self.out.extend_from_slice(&(value as u32).to_be_bytes());
            }
            _ => {
                self.out.push(0xcf);
                self.out.extend_from_slice(&value.to_be_bytes());
            }
        }
    }

    fn signed(&mut self, value: i64) {
        match value {
            0.. => self.unsigned(value as u64),
            -32..=-1 => self.out.push(value as u8),
            -0x80..=-33 => self.out.extend_from_slice(&[0xd0, value as u8]),
            -0x8000..=-0x81 => {
                self.out.push(0xd1);
                self.out.extend_from_slice(&(value as i16).to_be_bytes());
            }
            -0x8000_0000..=-0x8001 => {
                self.out.push(0xd2);
                self.out.extend_from_slice(&(value as i32).to_be_bytes());
            }
            _ => {
                self.out.push(0xd3);
                self.out.extend_from_slice(&value.to_be_bytes());
            }
        }
    }

    fn string(&mut self, text: &str) {
        match text.len() {
            n @ 0..=31 => self.out.push(0xa0 | n as u8),
            n @ 32..=0xff => self.out.extend_from_slice(&[0xd9, n as u8]),
            n @ 0x100..=0xffff => {
                self.out.push(0xda);
                self.out.extend_from_slice(&(n as u16).to_be_bytes());
            }
            n => {
                self.out.push(0xdb);
                self.out.extend_from_slice(&(n as u32).to_be_bytes());
            }
        }
        self.out.extend_from_slice(text.as_bytes());
    }

    /// The head of an array (`fix` 0x90, 16-bit 0xdc) or a map (0x80, 0xde), put before what was
    /// written since `start`: the count is known only after the elements.
    fn head(&mut self, start: usize, count: usize, fix: u8, wide: u8) {
        let head: Vec<u8> = match count {
            0..=15 => vec![fix | count as u8],
            16..=0xffff => [&[wide][..], &(count as u16).to_be_bytes()].concat(),
            _ => [&[wide + 1][..], &(count as u32).to_be_bytes()].concat(),
        };
        self.out.splice(start..start, head);
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth > DEPTH_MAX {
            return Err(D::Error::custom("the action is nested too deeply"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without floats")
    }
    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.out.push(if value { 0xc3 } else { 0xc2 });
        Ok(())
    }
    fn visit_u64<E>(mut self, value: u64) -> Result<(), E> {
        self.unsigned(value);
        Ok(())
    }
    fn visit_i64<E>(mut self, value: i64) -> Result<(), E> {
        self.signed(value);
        Ok(())
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Err(E::custom("a number with a fraction; send prices and sizes as strings"))
    }
    fn visit_str<E>(mut self, value: &str) -> Result<(), E> {
        self.string(value);
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.push(0xc0);
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let (start, depth) = (self.out.len(), self.depth + 1);
        let mut count = 0;
        while seq.next_element_seed(Node { out: self.out, depth })?.is_some() {
            count += 1;
        }
        self.head(start, count, 0x90, 0xdc);
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let (start, depth) = (self.out.len(), self.depth + 1);
        let mut count = 0;
        while let Some(key) = map.next_key::<Key>()? {
            self.string(&key.0);
            map.next_value_seed(Node { out: self.out, depth })?;
            count += 1;
        }
        self.head(start, count, 0x80, 0xde);
        Ok(())
    }
}

struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Key)
    }
}

#[cfg(test)]
mod tests {
    use super::to_msgpack;

    #[test]
    fn keys_keep_their_order_and_numbers_are_shortest() {
        // python: msgpack.packb({"type": "order", "b": True, "a": [1, 300, -1], "n": None})
        let json = r#"{"type":"order","b":true,"a":[1,300,-1],"n":null}"#;
        let expected = "84a474797065a56f72646572a162c3a1619301cd012cffa16ec0";
        assert_eq!(alloy_primitives::hex::encode(to_msgpack(json).unwrap()), expected);
    }

    #[test]
    fn floats_garbage_and_depth_are_refused() {
        assert!(to_msgpack(r#"{"px":1.5}"#).is_err());
        assert!(to_msgpack(r#"{"px":1} x"#).is_err());
        assert!(to_msgpack(&format!("{}{}", "[".repeat(40), "]".repeat(40))).is_err());
    }

    #[test]
    fn long_lists_and_strings_have_wide_heads() {
        let list = to_msgpack(&format!("[{}]", vec!["0"; 20].join(","))).unwrap();
        assert_eq!(&list[..3], &[0xdc, 0, 20]);
        let text = to_msgpack(&format!("\"{}\"", "x".repeat(40))).unwrap();
        assert_eq!(&text[..2], &[0xd9, 40]);
    }
}
