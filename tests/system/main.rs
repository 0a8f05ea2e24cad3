//! Whole-system tests: the real binary, real sockets, real speech. Each test has a server and a data folder of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails there")]

mod architecture;
mod backup;
mod bad_input;
mod cluster;
mod command_line;
mod drills;
mod durability;
mod full_disk;
mod live;
mod observed;
mod people;
mod privacy;
mod servers;
mod start;
mod support;
mod twilio;
