//! What a call takes in, whoever sends it.

use crate::EndReason;

/// Samples of one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    pub channel: u8,
    /// Index of the first sample from the start of the call, at the call's rate.
    pub position: u64,
    pub samples: Vec<i16>,
}

/// How a call stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// For good: what was being spoken becomes a final, then the end is recorded.
    End(EndReason),
    /// For now: finals under way are made, what is being spoken is left for the next connection.
    Park,
}

/// What a call takes in.
#[derive(Debug, Clone, PartialEq)]
pub enum CallInput {
    /// What came together, of one or more channels.
    Audio(Vec<Audio>),
    /// Samples that never came; silence stands in for them.
    Gap {
        channel: u8,
        position: u64,
        samples: u64,
    },
    Finish(Finish),
}
