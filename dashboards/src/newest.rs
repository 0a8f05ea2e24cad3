//! The calls of a tenant one by one, newest first, read from rows some at a time.

use std::collections::VecDeque;

use sotto_events::{CallId, TenantId, Timestamp};
use sotto_storage::{CallSummary, Reader, Result};

pub struct Newest<'a> {
    reader: &'a Reader,
    tenant: &'a TenantId,
    before: Option<(Timestamp, CallId)>,
    batch: usize,
    read: VecDeque<CallSummary>,
    more: bool,
}

impl<'a> Newest<'a> {
    /// Those before `before`, read `batch` at a time.
    pub fn new(reader: &'a Reader, tenant: &'a TenantId, before: Option<(Timestamp, CallId)>, batch: usize) -> Self {
        Self { reader, tenant, before, batch, read: VecDeque::new(), more: true }
    }

    /// # Errors
    /// When rows cannot be read.
    pub async fn next(&mut self) -> Result<Option<CallSummary>> {
        if self.read.is_empty() && self.more {
            let read = self.reader.calls(self.tenant, self.before.clone(), self.batch).await?;
            self.more = read.len() == self.batch;
            self.before = read.last().map(|call| (call.created_at, call.call.clone()));
            self.read = read.into();
        }
        Ok(self.read.pop_front())
    }
}
