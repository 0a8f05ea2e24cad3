//! What every bus and every vault must do, whatever the engine. Each case takes the port and runs on every engine;
//! [`engines`] opens them. Kafka and CQL are real servers, started by `tools/engines`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails there")]

/// Runs each case on the embedded engines, and on the servers where they are at hand.
macro_rules! on_every_engine {
    ($($case:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&crate::engines::Engines::embedded()).await;
            })+
        }
        mod servers {
            $(#[tokio::test]
            async fn $case() {
                if let Some(engines) = crate::engines::Engines::servers() {
                    super::$case(&engines).await;
                    engines.forget().await;
                }
            })+
        }
    };
}

mod bus;
mod engines;
mod kafka;
mod rows;
mod scylla;
mod spool;
mod vault;
