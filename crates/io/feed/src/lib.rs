//! Recorded markets as one stream of order-flow events.
