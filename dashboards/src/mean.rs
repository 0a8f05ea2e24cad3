//! Means of numbers that not every call has.

/// A mean on its way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    pub fn add(&mut self, value: Option<f64>) {
        self.sum += value.unwrap_or(0.0);
        self.count += u32::from(value.is_some());
    }

    /// Rounded to so many decimals; none of nothing.
    pub fn value(self, decimals: i32) -> Option<f64> {
        let by = 10_f64.powi(decimals);
        (self.count > 0).then(|| (self.sum / f64::from(self.count) * by).round() / by)
    }
}
