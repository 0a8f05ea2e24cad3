//! Running a function with the widest vectors of the processor.

/// Calls a closure where it stands: through `FnOnce`, a closure that changes what it holds is called out of line, and
/// then it is compiled for any processor instead of for this one.
struct InPlace<F>(F);

impl<R, F: FnMut() -> R> pulp::NullaryFnOnce for InPlace<F> {
    type Output = R;

    #[inline(always)]
    fn call(mut self) -> R {
        (self.0)()
    }
}

/// Runs a function with the widest vectors this processor has. It must be a closure marked `#[inline(always)]` that
/// changes something it holds.
#[inline(always)]
pub fn vectorised<R>(work: impl FnMut() -> R) -> R {
    pulp::Arch::new().dispatch(InPlace(work))
}
