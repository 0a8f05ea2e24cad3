//! What every bus and every vault must do, whatever the engine. Each case takes the port, so that another engine only
//! has to be opened in [`engines`].

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails there")]

mod bus;
mod engines;
mod rows;
mod vault;
